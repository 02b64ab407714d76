"""A recommendation from records and measurements whose answer is known."""

import itertools
import json
import math
import re

import numpy as np
import pytest
from matplotlib import image, text
from safetensors.numpy import save_file

from analysis.advice.matrix_gains import kind
from analysis.choose import choose
from intrinsic.errors import UserError
from intrinsic.threshold import estimate_threshold
from tests.support.studies import add, python

pytestmark = pytest.mark.usefixtures("unrendered")

RANKS = (1, 2, 4, 8, 16, 32)
SHAPES = {"q": (16, 16), "v": (16, 16), "up": (64, 16)}


@pytest.fixture
def study(tmp_path):
    return tmp_path / "outputs" / "ranks"


def accuracy(rank, seed=0):
    """Planted: half-way at rank 2, towards 0.96."""
    return 0.1 + 0.86 / (1 + (2 / rank) ** 2) + 0.002 * seed


def fill(study, ranks=RANKS, seeds=(0, 1, 2), baseline=True, **more):
    for seed in seeds:
        if baseline:
            add(study, "full", 0.94, 0.96 + 0.002 * seed, seed=seed)
        for rank in ranks:
            add(study, test=accuracy(rank) - 0.02, validation=accuracy(rank, seed), rank=rank, seed=seed, **more)


def write(study, name, values, arrays, method, options=None):
    """A measurement beside the record of each run of the method."""
    for file in study.glob("*/record.json"):
        if json.loads(file.read_text())["method"] == method:
            metadata = json.dumps({"values": values, "options": options or {}})
            tensors = {key: np.asarray(array, np.float32) for key, array in arrays.items()}
            save_file(tensors, file.parent / f"{name}.safetensors", {"intrinsic": metadata})


def gradients(study, sigma, halves=None, method="lora", **kinds):
    """Two layers of the types of `sigma`, singular values all alike: gain(r) = s sqrt(r) / (r (m + n))."""
    weights, arrays = {}, {}
    for layer, (name, size) in itertools.product((0, 1), sigma.items()):
        full, (m, n) = f"net.layer.{layer}.{name}.weight", SHAPES[name]
        ranks = np.arange(1, 17)
        gain = size * (1 + 0.1 * layer) * np.sqrt(ranks) / (ranks * (m + n))
        weights[full] = {"shape": [m, n], "kind": kinds.get(name, "matrix"), "energy": 1.0}
        first, second = (half[name] / size for half in (halves or (sigma, sigma)))
        arrays |= {f"{full}/gain": gain, f"{full}/share": ranks / 16}
        arrays |= {f"{full}/half_gain": np.stack([first * gain, second * gain])}
    write(study, "gradients", {"weights": weights, "loss": 1.0}, arrays, method, {"keep": 16})


def updates(study, norms, method="full"):
    names = {f"net.layer.{layer}.{name}.weight": name for layer in (0, 1) for name in norms}
    arrays = {f"{full}/values": [norms[name], norms[name]] for full, name in names.items()}
    write(study, "updates", {"weights": {full: SHAPES[name] for full, name in names.items()}}, arrays, method)


def said(drawn):
    (line,) = [line for line in drawn.results if line.startswith("recommendation: ")]
    return line


def test_the_planted_rank_is_found_on_validation_data(study):
    fill(study)
    drawn = choose(study)
    ranks = [rank for rank in RANKS for _ in range(3)]
    scores = [accuracy(rank, seed) for rank in RANKS for seed in range(3)]
    lines = []
    for fraction in (0.9, 0.99):
        found = estimate_threshold(ranks, scores, [0.96, 0.962, 0.964], fraction=fraction)
        value, low, high = (math.ceil(end) for end in (found.value, found.low, found.high))
        lines.append(f"lora: r{100 * fraction:g} = {value} (95 % interval {low} to {high})")
    assert drawn.results[:2] == tuple(lines)
    planted = 2 * math.sqrt(1 / (0.86 / (0.9 * 0.962 - 0.1) - 1))  # where accuracy() is 0.9 of the baseline's mean
    low, high = map(int, re.findall(r"interval (\d+) to (\d+)", lines[0])[0])
    assert low <= math.ceil(planted) <= high
    rank = re.findall(r"r99 = (\d+)", lines[1])[0]
    assert said(drawn).startswith(
        f"recommendation: lora of rank {rank}, the smallest that reaches 99 % of full training"
    )
    assert "from 3 seeds of each rank." in said(drawn)
    assert "Which matrices matter is not known: no gradients are measured." in said(drawn)
    assert drawn.notes == [f"no gradients: `python -m experiments.gradients {study}` measures gradients"]
    assert set(drawn.rows["split"]) == {"validation"}
    above = min(tried for tried in RANKS if tried >= int(rank))
    assert f"test accuracy there: {accuracy(above) - 0.02:.3f}" in said(drawn)


def test_the_learning_rate_is_the_best_by_validation_and_an_edge_is_said(study):
    fill(study, lr=0.01)
    for seed, rank in itertools.product(range(3), RANKS):
        add(study, test=0.99, validation=0.3, rank=rank, seed=seed, lr=0.1)  # better on test data alone
    assert "lr=0.01, the best by validation of 2 at rank" in said(choose(study))
    assert "at the edge: a smaller rate may be better" in said(choose(study))
    for seed, rank in itertools.product(range(3), RANKS):
        add(study, test=0.99, validation=0.2, rank=rank, seed=seed, lr=0.001)
    assert "at the edge" not in said(choose(study))
    assert "lr=0.01, the best by validation of 3 at rank" in said(choose(study))
    assert "the only setting tried" in said(choose(study, where=["lr=0.01"]))


def test_matrices_stand_in_the_order_of_their_gain(study):
    """At rank 4, gain = 2 s / (4 (m + n)): q 8 / 128, v 4 / 128, up 20 / 320; layer 1 has 1.1 times as much."""
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0, "up": 10.0})
    updates(study, {"q": 1.0, "v": 2.0, "up": 1.0})
    updates(study, {"q": 3.0, "v": 1.0}, method="lora")
    drawn = choose(study, rank=4)
    matrices = drawn.rows[drawn.rows["part"] == "matrix"].set_index("name")
    assert matrices.loc["net.layer.0.q.weight", "gain"] == pytest.approx(4 * 2 / (4 * 32))
    assert matrices.loc["net.layer.1.up.weight", "gain"] == pytest.approx(1.1 * 10 * 2 / (4 * 80))
    assert list(drawn.table["matrices"]) == ["q", "up", "v"]
    average = (8 + 4 + 20) * 2.1 / (2 * 4 * (32 + 32 + 80))
    expected = [1.05 * rate / average for rate in (8 / 128, 20 / 320, 4 / 128)]
    assert list(drawn.table["gain of rank 4, × average"]) == pytest.approx(expected)
    assert list(drawn.table["share of ‖ΔW‖², full"]) == pytest.approx([1 / 6, 1 / 6, 4 / 6])
    lora = next(column for column in drawn.table if "LoRA" in column)
    assert list(drawn.table[lora]) == pytest.approx([0.9, np.nan, 0.1], nan_ok=True)
    assert list(drawn.table["share of weights"]) == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    assert "begin with q and up; at theta_0" in said(drawn)
    assert "(q 2.0 times v), and both halves of the batch say the same" in said(drawn)
    assert "space.targets=[q,up]." in said(drawn)
    (line,) = [line for line in drawn.results if "(full): rank correlation" in line]
    assert "over 6 matrices; without any relation within ±0.88 in 19 of 20 cases" in line  # 1.96 / sqrt(5)


def test_halves_that_disagree_are_said(study):
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0}, halves=({"q": 9.0, "v": 1.0}, {"q": 1.0, "v": 9.0}))
    assert "but the halves of the batch say q, and v: treat it as a guess" in said(choose(study))


def test_head_and_embeddings_are_left_out(study):
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0, "up": 10.0}, v="embedding", up="head")
    assert list(choose(study).table["matrices"]) == ["q"]
    assert "Matrices: the gradients prefer none." in said(choose(study))


def test_no_full_training_and_no_updates_are_no_mistake(study):
    fill(study, baseline=False)
    gradients(study, {"q": 4.0, "v": 2.0})
    drawn = choose(study)
    assert "begin with q; at theta_0, a parameter trained there at rank 16" in said(drawn)  # measured no further
    assert any(f"no updates of LoRA, rank 32: `python -m experiments.updates {study}`" in note for note in drawn.notes)


def test_gradients_without_ranks_still_say_matrices(study):
    for seed in (0, 1):
        add(study, "full", seed=seed)
    gradients(study, {"q": 4.0, "v": 2.0}, method="full")
    drawn = choose(study)
    assert "Which rank and which learning rate is not known: no run of LoRA has finished." in said(drawn)
    assert "a parameter trained there at rank 1 gains more" in said(drawn)
    assert any("`python run.py -m method=lora rank=1,2,4,8 seed=0,1,2 study=ranks` makes" in x for x in drawn.notes)
    assert any(
        f"no updates of full: `python -m experiments.updates {study}` measures updates" in x for x in drawn.notes
    )
    assert len(drawn.figure.axes) == 1


@pytest.mark.parametrize(
    ("change", "paragraph", "note"),
    [
        ({"ranks": (1, 8)}, "the best by validation of the ranks tried (1, 8); which", "method=lora rank=1,2,4,8"),
        ({"baseline": False}, "not known: no baseline: no run of full", "smallest rank: no baseline.*-m method=full"),
        ({"seeds": (0,)}, "with one seed at some rank, noise is only guessed", "no gradients"),
        ({"ranks": (1, 2, 3)}, "rank 3, the best of those tried (1, 2, 3), though none of them reaches 99 %", ""),
        ({"ranks": (64, 128, 256)}, "r99 ≤ 64, the smallest rank tried (95 % interval up to 64)", ""),
        ({"ranks": (64, 128, 256)}, "(64, 128, 256): it reaches 99 % of full training, and a smaller one may;", ""),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said(study, change, paragraph, note):
    fill(study, **change)
    drawn = choose(study)
    assert paragraph in said(drawn)
    assert re.search(note, " ".join(drawn.notes))


def test_other_curves_are_drawn_and_the_best_by_validation_is_chosen(study):
    fill(study, space={"alpha": 8})
    for rank in RANKS:
        add(study, test=0.99, validation=accuracy(rank) - 0.2, rank=rank, space={"alpha": 16})
    drawn = choose(study)
    assert said(drawn).startswith("recommendation: lora, alpha=8 of rank ")
    assert {"lora, alpha=8", "lora, alpha=16"} < {*drawn.figure.axes[0].get_legend_handles_labels()[1]}


def test_what_cannot_be_chosen_is_one_line(study, tmp_path):
    def refused(match, **options):
        with pytest.raises(UserError, match=match) as caught:
            choose(study, **options)
        assert "\n" not in str(caught.value)

    add(study, "full")
    refused(r"nothing to choose by: `python run\.py -m method=lora .*`python -m experiments\.gradients .*ranks`")
    fill(study, seeds=(1,))
    gradients(study, {"q": 4.0, "v": 2.0})
    refused(r"need 1 <= rank <= 16, the ranks measured, got rank=17; .*--keep 17` measures more", rank=17)
    refused("need 1 <= rank <= 16, the ranks measured, got rank=0", rank=0)
    refused("need rising --fractions, such as 0.9 0.99, got 0.99 0.9", fractions=(0.99, 0.9))
    refused("fraction", fractions=(0.9, 2.0))
    (tmp_path / "file").write_text("")
    refused("cannot write to .*file: .*choose another folder", out=tmp_path / "file")
    gradients(study, {"q": 4.0}, q="embedding")
    refused("has no matrix that LoRA fits, beside head and embeddings")
    for file in study.glob("*/gradients.safetensors"):
        file.write_bytes(b"none")
    refused("gradients.safetensors is damaged")
    add(study, rank=1, model={"name": "another"})
    refused("the runs are of different tasks: model.name")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bert.encoder.layer.3.attention.self.query.weight", "attention.self.query"),
        ("bert.pooler.dense.weight", "bert.pooler.dense"),
        ("hidden.0.weight", "hidden.0"),
        ("blocks.1.0.conv1.weight", "conv1"),
        ("encoder.layers.0.mlp.2.weight", "mlp.2"),
        ("blocks.0.attention.in_proj_weight", "attention.in_proj"),
    ],
)
def test_types_of_matrices(name, found):
    assert kind(name) == found


def test_endings_that_mean_more_than_one_type_become_an_expression(study, monkeypatch):
    monkeypatch.setitem(SHAPES, "attention.output.dense", (16, 16))
    monkeypatch.setitem(SHAPES, "output.dense", (16, 16))
    fill(study)
    gradients(study, {"output.dense": 4.0, "attention.output.dense": 1.0})
    (pattern,) = re.findall(r"space\.targets='(.*)'\.$", said(choose(study)))
    assert re.fullmatch(pattern, "net.layer.3.output.dense")
    assert not re.fullmatch(pattern, "net.layer.3.attention.output.dense")


@pytest.mark.slow
@pytest.mark.rendered
def test_the_command_and_a_legible_figure(study):
    fill(study)
    gradients(study, {"q": 4.0, "v": 2.0, "up": 10.0})
    updates(study, {"q": 1.0, "v": 2.0, "up": 1.0})
    done = python("-m", "analysis.choose", study, "--fractions", "0.8", "0.95")
    assert (done.returncode, done.stderr) == (0, "")
    assert "r95 = " in done.stdout
    drawn = choose(study)
    png = drawn.paths[0].read_bytes()
    assert len(png) < 200_000
    assert image.imread(drawn.paths[0]).std() > 0.05
    drawn.figure.draw_without_rendering()
    ticks = [(axes.get_xlim(), tick) for axes in drawn.figure.axes for tick in axes.xaxis.get_major_ticks()]
    beyond = [tick.label1 for (low, high), tick in ticks if not low <= tick.get_loc() <= high]  # matplotlib skips them
    texts = [label for label in drawn.figure.findobj(text.Text) if label.get_visible() and label.get_text()]
    texts = [label for label in texts if label not in beyond]
    boxes = [(label.get_text(), label.get_window_extent()) for label in texts]
    (x0, y0), (x1, y1) = drawn.figure.bbox.padded(1).get_points()
    assert [name for name, box in boxes if box.x0 < x0 or box.y0 < y0 or box.x1 > x1 or box.y1 > y1] == []
    assert [(a, b) for (a, s), (b, t) in itertools.combinations(boxes, 2) if s.overlaps(t)] == []


@pytest.mark.rendered
@pytest.mark.filterwarnings("error")
def test_long_names_leave_room_for_the_curves(study):
    targets = ["query", "key", "value", "attention.output.dense", "intermediate.dense"]
    fill(study, space={"targets": "all-linear"})
    fill(study, baseline=False, space={"targets": targets})
    drawn = choose(study)
    (axes,) = drawn.figure.axes
    drawn.figure.draw_without_rendering()
    assert axes.get_position().width > 0.7
