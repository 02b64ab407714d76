"""A recommendation from records and measurements whose answer is known."""

import itertools
import math
import re

import pytest
from matplotlib import image, text

from analysis.advice.recommendation import interval
from analysis.choose import choose
from intrinsic.errors import UserError
from intrinsic.threshold import estimate_threshold
from tests.support.choose_study import RANKS, accuracy, fill, gradients, said, updates
from tests.support.studies import add, python

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]


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
    refused(r"nothing to choose by: `python run\.py -m method=lora .*`python -m experiments\.gradients .*demo`")
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


def test_a_rank_beyond_those_tried_is_said_with_an_interval_that_is_not():
    few = estimate_threshold([1, 2, 4, 8], [0.3, 0.5, 0.72, 0.74], [0.8342])
    assert interval(few) == "r90 > 8, the largest rank tried (95 % interval from 2)"
    clear = estimate_threshold([1, 2, 4, 8] * 2, [0.3, 0.31, 0.32, 0.33, 0.3, 0.31, 0.32, 0.33], [0.83, 0.84])
    assert interval(clear) == "r90 > 8, the largest rank tried"
