"""The start and the floor in figures and thresholds of made-up records."""

import json

import pandas as pd
import pytest
from matplotlib import text

from analysis.choose import choose
from analysis.compare import compare
from analysis.dim_curve import dim_curve
from analysis.fraction_curve import fraction_curve
from analysis.studies.floor import Floor
from analysis.threshold import threshold
from intrinsic.threshold import estimate_threshold
from tests.support.studies import add, python, refused

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]
DIMS = (30, 100, 300, 1000, 3000)
SEEDS = (0, 1, 2)


def accuracy(dim, seed):
    return 0.7 + 0.26 / (1 + (100 / dim) ** 1.5) + 0.003 * seed


def fill(study, start=0.7, constant=0.5, gap=0.001):
    """Full training has 0.95: 0.9 of it is 0.855."""
    for seed in SEEDS:
        at_0 = (start + 0.001 * seed, constant)
        add(study, "full", 0.95, 0.95 - gap, seed=seed, at_0=at_0)
        for dim in DIMS:
            score = accuracy(dim, seed)
            add(study, "subspace", score, score - gap, projection="Fastfood", dim=dim, seed=seed, at_0=at_0)


def labels(drawn):
    return {each.get_text() for each in drawn.figure.axes[0].texts}


def found(drawn):
    (curve,) = json.loads(drawn.paths[0].read_text())["curves"]
    return curve["threshold"]


@pytest.mark.parametrize(("floor", "score"), [("start", 0.701), ("chance", 0.5), ("0.6", 0.6)])
def test_the_target_counts_from_the_floor(study, floor, score):
    fill(study)
    drawn = threshold(study, floor=floor, split="test")
    runs = [(dim, accuracy(dim, seed)) for dim in DIMS for seed in SEEDS]
    expected = estimate_threshold(*zip(*runs, strict=True), [0.95] * 3, floor=found(drawn)["floor"], start=0.701)
    assert found(drawn) == expected.to_dict() | {"start": pytest.approx(0.701)}
    assert found(drawn)["floor"] == pytest.approx(score)
    above = {"start": "above the start", "chance": "above chance"}.get(floor, "above 0.6")
    assert f"90 % {above} {expected.target:.3f}" in labels(drawn)
    assert any(label.startswith("start 0.701") for label in labels(drawn))


def test_a_start_above_the_target_is_zero_wherever_it_is_said(study):
    fill(study, start=0.9)
    drawn = threshold(study)
    said = "subspace (fastfood): d90 = 0 (the start is above the target: 0.901 >= 0.855; use floor=start)"
    assert drawn.results == (said, "on validation data, subspace (fastfood): d90 = 0")
    assert drawn.figure.legends[0].get_texts()[0].get_text() == "subspace (fastfood): d90 = 0"
    assert not drawn.figure.axes[0].patches  # no interval
    assert found(threshold(study, floor="start"))["value"] > 100
    (note,) = dim_curve(study).notes
    assert note.startswith("the start, 0.901, is above 90 % of full: d90 = 0; ")
    taus = fraction_curve(study, fractions=(0.9, 0.99))
    assert taus.table["subspace (fastfood)"][0] == "0 (start)"
    assert [each.get_text() for each in taus.figure.axes[0].texts] == ["0"]
    for dim in (100, 300, 1000):
        add(study, "lora", 0.9, 0.9, rank=dim // 100, at_0=(0.9, 0.5))
    assert compare(study).results == ("lora: " + said.partition(": ")[2].replace("0.901", "0.9"), said)


def test_ranks_are_chosen_by_the_start_on_validation_data(study):
    for seed in SEEDS:
        add(study, "full", 0.95, 0.95, seed=seed, at_0=(0.9, 0.5))
        for rank in (1, 2, 4):
            add(study, "lora", 0.9, 0.85 + 0.02 * rank, rank=rank, seed=seed, at_0=(0.9, 0.5))
    assert "r90 = 0 (the start is above the target: 0.9 >= 0.855; use floor=start)" in choose(study).results[0]
    assert "though the start reaches" in choose(study, fractions=(0.9,)).results[-1]
    assert "95 % of full training above the start" in choose(study, fractions=(0.95,), floor="start").results[-1]


def test_figures_draw_the_start_and_rows_have_it(study):
    fill(study)
    drawn = dim_curve(study)
    assert any(label.startswith("start 0.701") for label in labels(drawn))
    assert any(line.get_linestyle() == "-." for line in drawn.figure.axes[0].lines)
    csv = pd.read_csv(drawn.paths[2])
    assert set(csv["start"]) == {0.7, 0.701, 0.702}
    assert set(csv["constant"]) == {0.5}
    assert drawn.notes == []


def test_a_start_far_below_the_curves_does_not_flatten_them(study):
    fill(study, start=0.1)
    axes = dim_curve(study).figure.axes[0]
    assert axes.get_ylim()[0] > 0.6
    assert "start 0.101 ↓" in {each.get_text() for each in axes.findobj(text.Text)}


def test_records_of_before_are_told_in_one_line(study):
    fill(study)
    add(study, "subspace", 0.95, 0.95, projection="Fastfood", dim=3000, seed=7)
    said = "1 of 19 records have no score at the start, from before it was measured: "
    for drawn in (threshold(study), dim_curve(study), fraction_curve(study, fractions=(0.8, 0.9))):
        assert [note.startswith(said) for note in drawn.notes] == [True]
    refused(r"^floor=start needs that score in every record, 1 of 16 runs have none", study,
            figure=threshold, floor="start")  # fmt: skip


def test_of_success_the_start_is_that_of_half_of_the_seeds():
    runs = pd.DataFrame({"seed": [0, 0, 1, 2], "start": [0.1, 0.1, 0.2, 0.9], "constant": 0.5, "run_id": "a"})
    assert Floor.of("none").of_runs(runs, "success") == {"floor": None, "start": pytest.approx(0.2)}
    assert Floor.of("start").of_runs(runs) == {"floor": pytest.approx(0.4), "start": pytest.approx(0.4)}
    assert [Floor.of(floor).above for floor in ("none", "chance", 0.25)] == ["", " above chance", " above 0.25"]


def test_a_start_that_no_run_has_is_a_damaged_record(study):
    fill(study)
    add(study, "subspace", 0.9, projection="Fastfood", dim=3000, seed=8, at_0=("high", 0.5))
    (note,) = dim_curve(study).notes
    assert note.startswith("left out: damaged record ")
    assert "history.0: start is high, not a finite number" in note


def test_one_line_where_the_search_has_seen_what_is_reported(study):
    fill(study, gap=0.0)
    (note,) = threshold(study).notes
    assert note.startswith("validation and test scores are the same in every run")
    assert threshold(study, split="test").notes == []


def test_the_command_takes_words_and_numbers(study):
    fill(study)
    assert python("-m", "analysis.threshold", study, "--floor", "start").returncode == 0
    bad = python("-m", "analysis.threshold", study, "--floor", "0.99")
    assert (bad.returncode, bad.stderr) == (
        2,
        "error: need a baseline above floor, got a mean of 0.95 and floor=0.99\n",
    )
