"""Similarity, amplification and spectrum: null checks, planted truths, and what cannot be drawn."""

import itertools

import pandas as pd
import pytest
from matplotlib import image, text

from analysis.amplification import amplification
from analysis.similarity import similarity
from analysis.spectrum import spectrum
from tests.support.studies import add, python, refused
from tests.support.updates_study import QUERY, gaussian, low_rank, moved, random_runs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

FIGURES = [similarity, amplification, spectrum]


def test_directions_below_rounding_are_not_compared(study):
    """A run of rank 8 whose update has rank 3 has three directions; what is left is noise of float32."""
    for seed in (0, 1):
        update = low_rank(40, 30, 3, seed) + 1e-8 * gaussian(40, 30, 7 + seed)
        moved(study, {"query.weight": (gaussian(40, 30, 0), update)}, rank=8, seed=seed)
    drawn = similarity(study)
    assert (drawn.rows["i"].max(), drawn.rows["j"].max()) == (3, 3)
    assert drawn.notes == ["not drawn between ranks: need two ranks, got 8: `python run.py -m rank=8,64 ...` makes two"]
    assert amplification(study).table["r"].to_list() == [3]
    assert spectrum(study).rows.query("quantity == 'singular value' and run != 'W₀'")["j"].max() == 3


@pytest.mark.rendered
@pytest.mark.parametrize("function", FIGURES)
def test_three_small_legible_files(study, function, monkeypatch):
    origins = {
        f"encoder.layer.{layer}.{name}.weight": gaussian(40, 30, layer)
        for layer in range(2)
        for name in ("attention.self.query", "attention.self.key", "attention.output.dense", "output.dense")
    }
    origins["pooler.weight"] = gaussian(40, 40, 9)
    for number, (rank, seed) in enumerate(itertools.product((4, 16), (0, 1))):
        updates = {n: (w, low_rank(*w.shape, rank, 50 * number + i)) for i, (n, w) in enumerate(origins.items())}
        moved(study, updates, rank=rank, seed=seed)
    if function is not similarity:
        moved(study, {n: (w, gaussian(*w.shape, 77)) for n, w in origins.items()}, "full")
        moved(study, {n: (w, gaussian(*w.shape, 78)) for n, w in origins.items()}, "subspace", dim=300,
              projection="Fastfood")  # fmt: skip
    labels = {"query", "key", "attention.output.dense", "*.output.dense", "pooler"}
    drawn = function(study)
    assert [path.name for path in drawn.paths] == [f"{function.__name__}.{suffix}" for suffix in ("png", "pdf", "csv")]
    png, pdf, csv = [path.read_bytes() for path in drawn.paths]
    assert (len(png) < 200_000, pdf[:4], csv.count(b"\n")) == (True, b"%PDF", len(drawn.rows) + 1)
    assert image.imread(drawn.paths[0])[..., :3].std() > 0.05  # something is drawn
    drawn_texts, draw = {}, text.Text.draw  # a tick outside of its axes is not drawn

    def note(label, *arguments, **options):
        drawn_texts[id(label)] = label
        draw(label, *arguments, **options)

    monkeypatch.setattr(text.Text, "draw", note)
    drawn.figure.draw_without_rendering()
    texts = [label for label in drawn_texts.values() if label.get_visible() and label.get_text()]
    boxes = [(label.get_text(), label.get_window_extent()) for label in texts]
    (x0, y0), (x1, y1) = drawn.figure.bbox.padded(1).get_points()
    assert len(boxes) > 10
    assert [name for name, box in boxes if box.x0 < x0 or box.y0 < y0 or box.x1 > x1 or box.y1 > y1] == []
    assert labels <= {name.replace("\n", "") for name, _ in boxes}
    assert [(a, b) for (a, s), (b, t) in itertools.combinations(boxes, 2) if s.overlaps(t)] == []
    assert set(drawn.rows["weights"]) == labels


def test_weights_are_chosen_by_parts_of_their_names(study):
    weights = {name: (gaussian(20, 20, i), low_rank(20, 20, 2, i)) for i, name in enumerate(
        (QUERY.format(0), QUERY.format(1), "layer.0.output.weight", "head.weight"))}  # fmt: skip
    for seed in (0, 1):
        moved(study, weights, rank=2, seed=seed, head=["head.weight"])
    both = amplification(study)
    assert both.rows["weights"].unique().tolist() == ["query", "output"]
    assert both.notes == ["weights left out, the head or not moved in every run: head.weight; --weights draws them"]
    for wanted, names in ((["layer.0"], {QUERY.format(0), "layer.0.output.weight"}), (["head"], {"head.weight"}),
                          (["layer.*.attention"], {QUERY.format(0), QUERY.format(1)}), (["ut"], None)):  # fmt: skip
        if names is None:
            refused(
                "no weight that has moved has ut in its name; there are layer.0", study, figure=spectrum, weights=wanted
            )
        else:
            assert set(amplification(study, weights=wanted).rows["name"]) == names
    assert amplification(study, per="weight").rows["weights"].unique().tolist() == [
        "0.attention.query",
        "1.attention.query",
        "output",
    ]


def test_settings_are_chosen_on_validation(study):
    for lr, validation in ((0.1, 0.9), (0.01, 0.7)):
        moved(
            study,
            {"query.weight": (gaussian(20, 20, 0), lr * gaussian(20, 20, 1))},
            "full",
            lr=lr,
            validation=validation,
        )
    drawn = amplification(study)
    assert drawn.table["‖ΔW‖"].to_list() == pytest.approx([float((0.1 * gaussian(20, 20, 1)).norm())], rel=1e-4)
    assert "runs of settings that validation did not choose, left out: 1" in drawn.notes


@pytest.mark.parametrize("function", FIGURES)
def test_what_cannot_be_drawn(study, function, tmp_path):
    add(study, rank=2, seed=99)
    refused(r"has updates.safetensors; `python -m experiments\.updates .*demo` makes them", study, figure=function)
    random_runs(study)
    (tmp_path / "file").touch()
    refused(
        r"cannot write to .*file: .*; choose another folder with --out", study, figure=function, out=tmp_path / "file"
    )
    refused("need per to be type or weight, got 'layer'", study, figure=function, per="layer")
    moved(study, {"query.weight": (gaussian(40, 30, 0), low_rank(40, 30, 2, 1))}, rank=2, seed=7)
    assert any(note.startswith("runs left out, which did not move layer.") for note in function(study).notes)
    moved(study, {"query.weight": (gaussian(40, 30, 0), low_rank(40, 30, 2, 1))}, rank=2, model={"width": 9})
    refused(r"the runs are of different tasks: model\.width is", study, figure=function)
    only = tmp_path / "outputs" / "heads"
    moved(only, {"head.weight": (gaussian(9, 9, 0), gaussian(9, 9, 1))}, rank=2, head=["head.weight"])
    refused("the head alone has moved; --weights head.weight draws it", only, figure=function)


def test_what_the_others_cannot_draw(study):
    moved(study, {"query.weight": (gaussian(9, 7, 0) * 0, gaussian(9, 7, 1))}, "full")
    refused("query.weight is zero before training, nothing in it is amplified", study, figure=amplification)
    for k in (0, 8):
        refused(f"need 0 < k <= 7, the directions that were measured, got k={k}", study, figure=spectrum, k=k)
    for epsilon in (0, 1.5):
        refused(f"need 0 < epsilon <= 1, got epsilon={epsilon}", study, figure=spectrum, epsilon=epsilon, k=7)


@pytest.mark.parametrize("function", FIGURES)
def test_the_command_prints_the_table(study, function, tmp_path):
    random_runs(study)
    done = python("-m", f"analysis.{function.__name__}", study, "--weights", "query", "--out", tmp_path / "figures")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{function.__name__}.csv" in done.stdout
    assert len(pd.read_csv(tmp_path / "figures" / f"{function.__name__}.csv")) > 10
    done = python("-m", f"analysis.{function.__name__}", study, "--weights", "nothing")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_heavy_packages_wait():
    names = ", ".join(f"analysis.{function.__name__}" for function in FIGURES)
    done = python("-c", f"import sys, {names}; print(*sys.modules)")
    assert done.returncode == 0
    assert not {"torch", "experiments", "matplotlib.pyplot"} & set(done.stdout.split()), done.stderr
