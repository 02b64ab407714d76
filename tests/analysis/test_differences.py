"""Ratios of several curves, two networks with a baseline each, and d(tau): from records to tables and figures."""

import json

import pandas as pd
import pytest

from analysis.compare import compare
from analysis.fraction_curve import fraction_curve
from analysis.studies.differences import differences, letters
from analysis.studies.estimates import Estimate
from analysis.threshold import threshold
from intrinsic.threshold import compare_thresholds, estimate_threshold
from tests.support.studies import add, python, refused

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]
DIMS = (30, 100, 300, 1000, 3000)


@pytest.fixture
def study(tmp_path):
    return tmp_path / "outputs" / "grid"


def accuracy(dim, seed, centre):
    return 0.1 + 0.86 / (1 + (centre / dim) ** 1.5) + 0.003 * seed + 0.002 * ((dim * (seed + 1)) % 7)


def fill(study, centre=100.0, projections=("Fastfood",), full=0.95, **config):
    for seed in (0, 1, 2):
        add(study, "full", full + 0.002 * seed, seed=seed, **config)
        for projection in projections:
            for dim in DIMS:
                score = accuracy(dim, seed, centre if projection == "Fastfood" else centre / 4)
                add(study, "subspace", score, score, projection=projection, dim=dim, seed=seed, **config)


def network(width):
    return {"model": {"_target_": f"models.Net{width}", "width": width}}


def test_curves_of_one_study_are_compared(study):
    fill(study, projections=("Fastfood", "Dense"))
    drawn = threshold(study)
    (table,) = drawn.more
    assert table[["a", "b", "differ"]].to_numpy().tolist() == [["subspace (dense)", "subspace (fastfood)", "yes"]]
    assert table["shared noise"].item() == "baselines and seeds"
    content = json.loads(drawn.paths[0].read_text())
    (ratio,) = content["ratios"]
    dense, fastfood = (
        estimate_threshold(curve["dims"], curve["scores"], curve["baselines"], seeds=[0, 1, 2] * 5)
        for curve in content["curves"]
    )
    expected = compare_thresholds(dense, fastfood).to_dict()
    assert {key: ratio[key] for key in expected} == expected
    assert 0.1 < ratio["low"] < 0.25 < ratio["high"] < 0.6
    assert "seeds" not in content["curves"][0]


def test_two_studies_each_with_a_baseline(study, tmp_path):
    """Two networks: each curve against its own baseline, by the node of the config in which they differ."""
    other = tmp_path / "outputs" / "other"
    fill(study, **network(10))
    fill(other, centre=400.0, full=0.8, **network(20))
    refused("different tasks: model._target_ is .*--across model._target_", study, other, figure=threshold)
    drawn = threshold(study, other, across=["model"])
    one, two = json.loads(drawn.paths[0].read_text())["curves"]
    assert [each["curve"] for each in (one, two)] == [f"subspace (fastfood), model=Net{w}" for w in (10, 20)]
    assert (one["baselines"], two["baselines"]) == ([0.95, 0.952, 0.954], [0.8, 0.802, 0.804])
    assert two["threshold"]["target"] == pytest.approx(0.9 * 0.802)
    assert drawn.more[0]["shared noise"].item() == "seeds"
    add(other, "subspace", 0.5, projection="Fastfood", dim=30, **network(30))
    refused("need a baseline of each network or one for all, got none with model._target_=models.Net30",
            study, other, figure=threshold, across=["model"])  # fmt: skip


def test_different_metrics_are_refused(study, tmp_path):
    fill(study)
    other = tmp_path / "outputs" / "other"
    path = add(other, "full", 0.9, seed=9)
    path.write_text(path.read_text().replace('"accuracy"', '"f1"'))
    refused("different tasks, with the metrics accuracy and f1", study, other, figure=threshold)


def test_holm_asks_more_of_several_pairs():
    def found(name, centre, seed):
        scores = [accuracy(dim, seed, centre) for dim in DIMS for seed in (0, 1, 2)]
        dims = [dim for dim in DIMS for _ in range(3)]
        return Estimate(name, dims, scores, [], estimate_threshold(dims, scores, [0.95, 0.951, 0.949 + seed / 1e4]), [])

    pairs = differences([found("a", 100.0, 0), found("b", 101.0, 1), found("c", 400.0, 2)])
    assert pairs[["a", "b", "supported"]].to_numpy().tolist() == [["a", "b", False], ["a", "c", True], ["b", "c", True]]
    assert letters(pairs, ["a", "b", "c"]) == {"a": "a", "b": "a", "c": "b"}
    assert letters(pairs.assign(supported=[False, True, False]), ["a", "b", "c"]) == {"a": "a", "b": "ab", "c": "b"}
    assert letters(pairs.assign(supported=False), ["a", "b", "c"]) == dict.fromkeys("abc", "a")


def test_fractions_are_estimated_one_by_one(study):
    fill(study, projections=("Fastfood", "Dense"))
    drawn = fraction_curve(study, fractions=[0.5, 0.9, 0.99])
    rows = pd.read_csv(drawn.paths[2]).set_index(["curve", "tau"])
    assert len(rows) == 6
    one = json.loads(threshold(study).paths[0].read_text())["curves"][1]
    found = rows.loc[("subspace (fastfood)", 0.9)]
    assert [found[name] for name in ("value", "low", "high")] == [one["threshold"][n] for n in ("value", "low", "high")]
    values = rows["value"].unstack()
    assert (values[0.5] < values[0.9]).all()
    assert (values.loc["subspace (dense)"] < values.loc["subspace (fastfood)"]).all()


@pytest.mark.rendered
def test_what_lies_beyond_the_tried_dims_is_a_bound(study):
    fill(study, centre=2000.0)
    drawn = fraction_curve(study)
    assert drawn.table.iloc[-1].tolist() == ["0.99", "> 3000"]
    assert len(drawn.table) == 12
    (bounds,) = [line for line in drawn.figure.axes[0].lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert set(bounds.get_ydata()) == {3000.0}


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ([0.5, 1.0], r"need every one of --fractions in \(0, 1\), got 1"),
        ([0.0, 0.9], r"need every one of --fractions in \(0, 1\), got 0"),
        ([50.0, 90.0], r"need every one of --fractions in \(0, 1\), got 50"),
        ([0.9, 0.9], "need two different --fractions for a curve, got 1; analysis.threshold takes one"),
        ([], "need two different --fractions for a curve, got 0"),
        ([float("nan"), 0.9], "fractions"),
    ],
)
def test_fractions_out_of_range_are_one_line(study, fractions, message):
    fill(study)
    refused(message, study, figure=fraction_curve, fractions=fractions)


def test_the_command_prints_the_ratios(study):
    fill(study, projections=("Fastfood", "Dense"))
    done = python("-m", "analysis.threshold", study)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a / b" in done.stdout
    assert "not shown" not in done.stdout
    bad = python("-m", "analysis.fraction_curve", study, "--fractions", "0.5", "1.5")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)


def test_compare_marks_the_curves_that_differ(study):
    """One projection needs a fourth of the other's parameters; a third curve, of two sizes, has no threshold."""
    fill(study, projections=("Fastfood", "Dense"))
    for rank in (1, 2):
        add(study, "lora", 0.9, rank=rank)
    drawn = compare(study)
    names = [each.get_text() for each in drawn.figure.legends[0].get_texts()]
    assert names == ["full", "lora", "subspace (dense) [a]", "subspace (fastfood) [b]"]
    assert drawn.more[0]["differ"].tolist() == ["yes"]
    assert [line.partition(":")[0] for line in drawn.results] == names[2:]
    assert "[" not in "".join(drawn.rows["curve"])
    assert drawn.figure.axes[0].get_xlabel().endswith("were not shown to differ")


def test_compare_marks_nothing_without_one_baseline(study):
    fill(study, projections=("Fastfood", "Dense"))
    assert compare(study, where=["method=subspace"]).more == ()
    add(study, "full", 0.9, seed=1, **network(3))
    drawn = compare(study, across=["model"])
    assert drawn.more == ()
    said = "d90 not compared: need one baseline, got full; full, model=Net3"
    assert [note for note in drawn.notes if note.startswith(said)]
