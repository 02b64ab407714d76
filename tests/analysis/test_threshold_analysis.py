"""d90 from the records of a plain grid: which runs count, and what is written."""

import json

import pytest
from matplotlib import image

from analysis.threshold import threshold
from intrinsic.errors import UserError
from intrinsic.threshold import estimate_threshold
from tests.support.studies import add, python, refused

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.fixture
def study(tmp_path):
    return tmp_path / "outputs" / "grid"


def accuracy(dim, seed, centre=100.0):
    return 0.1 + 0.86 / (1 + (centre / dim) ** 1.5) + 0.003 * seed


def fill(study, **config):
    for seed in (0, 1, 2):
        add(study, "full", 0.95 + 0.002 * seed, seed=seed, **config)
        for dim in (30, 100, 300, 1000, 3000):
            score = accuracy(dim, seed)
            add(study, "subspace", score, score, projection="Fastfood", dim=dim, seed=seed, **config)


def _interval(threshold):
    return str(threshold).partition(" (")[0].removeprefix("d90 = ")


def content(drawn):
    return json.loads(drawn.paths[0].read_text())


@pytest.mark.slow
@pytest.mark.rendered
def test_it_is_the_estimate_of_the_scores(study):
    fill(study)
    drawn = threshold(study)
    (curve,) = content(drawn)["curves"]
    dims = [dim for dim in (30, 100, 300, 1000, 3000) for _ in range(3)]
    scores = [accuracy(dim, seed) for dim in (30, 100, 300, 1000, 3000) for seed in (0, 1, 2)]
    expected = estimate_threshold(dims, scores, [0.95, 0.952, 0.954])
    assert (curve["dims"], curve["baselines"]) == (dims, [0.95, 0.952, 0.954])
    assert curve["threshold"] == expected.to_dict()
    assert 300 < expected.value < 1000
    on_validation = estimate_threshold(dims, scores, [0.9] * 3)
    assert drawn.results[0] == f"subspace (fastfood): {expected}"
    assert drawn.results[1:] == (f"on validation data, subspace (fastfood): d90 = {_interval(on_validation)}",)
    assert [path.name for path in drawn.paths] == ["threshold.json", *(f"threshold.{s}" for s in ("png", "pdf", "csv"))]
    assert image.imread(drawn.paths[1]).std() > 0.01


def test_each_curve_has_its_own(study):
    fill(study)
    for dim in (30, 100, 300, 1000, 3000):
        score = accuracy(dim, 0, centre=20.0)
        add(study, "subspace", score, score, projection="Dense", dim=dim)
    found = {curve["curve"]: curve["threshold"]["value"] for curve in content(threshold(study))["curves"]}
    assert found["subspace (dense)"] < found["subspace (fastfood)"]


def test_learning_rates_are_chosen_on_validation_data(study):
    fill(study)
    for seed in (0, 1, 2):  # better on test data, not on validation data
        for dim in (30, 100, 300, 1000, 3000):
            add(study, "subspace", 0.99, 0.05, projection="Fastfood", dim=dim, seed=seed, lr=0.1)
    (curve,) = content(threshold(study))["curves"]
    assert max(curve["scores"]) < 0.97
    assert {each["setting"] for each in curve["points"]} == {"lr=0.01"}
    assert {each["tried"] for each in curve["points"]} == {2}


def test_ranks_and_counts_are_axes_too(study):
    for seed in (0, 1):
        add(study, "full", 0.95, seed=seed)
        for rank in (1, 2, 4, 8):
            add(study, "lora", accuracy(448 * rank, seed, 500.0), rank=rank, seed=seed)
    by_rank, by_count = (
        content(threshold(study, axis=axis))["curves"][0]["threshold"]["value"] for axis in ("rank", "trained")
    )
    assert by_count == pytest.approx(448 * by_rank, rel=0.1)


def test_a_diverged_run_has_not_succeeded(study):
    """Of the mean it has no part; at 1,000 three of six seeds reach the target, and not three of three."""
    fill(study)
    for seed in (3, 4, 5):
        add(study, "subspace", projection="Fastfood", dim=1000, seed=seed, status="diverged")
    dims = [dim for dim in (30, 100, 300, 1000, 3000) for _ in range(3)]
    scores = [accuracy(dim, seed) for dim in (30, 100, 300, 1000, 3000) for seed in (0, 1, 2)]
    full = [0.95, 0.952, 0.954]
    (mean,), (success,) = (content(threshold(study, estimand=kind))["curves"] for kind in ("mean", "success"))
    assert mean["threshold"] == estimate_threshold(dims, scores, full).to_dict()
    without = estimate_threshold(dims, scores, full, estimand="success")
    dims[12:12], scores[12:12] = [1000] * 3, [0.0] * 3
    assert success["threshold"] == estimate_threshold(dims, scores, full, estimand="success").to_dict()
    assert success["threshold"]["value"] > 1.2 * without.value


def test_only_the_asked_runs_count(study):
    fill(study)
    kept = [path.parent.name for path in study.glob("*/record.json")]
    add(study, "subspace", 0.0, projection="Fastfood", dim=3000, seed=7)
    (all_,), (some,) = (content(threshold(study, runs=runs))["curves"] for runs in (None, kept))
    assert (len(all_["dims"]), len(some["dims"])) == (16, 15)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"axis": "rank"}, "no run has rank: need --axis to be an integer knob"),
        ({"axis": "lr"}, "need --axis to be an integer knob of the runs, got lr=0.01"),
        ({"fraction": 1.0}, "fraction"),
        ({"estimator": "guess"}, "estimator"),
        ({"estimand": "guess"}, "estimand"),
        ({"confidence": 2.0}, "confidence"),
        ({"chance": 0.99}, "need a baseline above floor, got a mean of 0.952 and floor=0.99"),
        ({"floor": "0.99"}, "need a baseline above floor, got a mean of 0.952 and floor=0.99"),
        ({"floor": "half"}, "need --floor to be none, chance, start or a number, got --floor=half"),
        ({"floor": 0.1, "chance": 0.1}, "need --floor or chance, its older name, got --floor=0.1 and chance=0.1"),
        ({"floor": "start"}, r"floor=start needs that score in every record, 15 of 15 runs have none \("),
        ({"floor": "chance"}, "floor=chance needs that score in every record"),
        ({"where": ["method=subspace"]}, "no baseline: no run of full has finished"),
        ({"where": ["method=full"]}, "no run has dim"),
        ({"where": ["method=subspace", "nothing=1"]}, "nothing"),
        ({"runs": []}, "no run"),
    ],
)
def test_what_cannot_be_measured_is_one_line(study, change, match):
    fill(study)
    with pytest.raises(UserError, match=match) as caught:
        threshold(study, **change)
    assert "\n" not in str(caught.value)
    assert not (study / "threshold.json").exists()


def test_few_sizes_and_mixed_tasks_are_one_line(study):
    for seed in (0, 1):
        add(study, "full", 0.95, seed=seed)
        add(study, "subspace", 0.5, projection="Fastfood", dim=30, seed=seed)
    with pytest.raises(UserError, match="need runs at 3 values of dim or more for a threshold"):
        threshold(study)
    fill(study, epochs=3)
    with pytest.raises(UserError, match="the runs are of different tasks: epochs"):
        threshold(study)


def test_a_knob_that_came_later_is_as_it_was_before_there_was_one(study):
    digits = {"_target_": "intrinsic.data.digits.digits"}
    fill(study, dataset=digits)
    fill(study, dataset=digits | {"label_noise": 0.0}, redraw=None, redraw_optimizer="reset")
    assert len(content(threshold(study))["curves"]) == 1
    fill(study, dataset=digits, redraw=5)
    with pytest.raises(UserError, match=r"the runs are of different tasks: redraw is 5 .* or null"):
        threshold(study)


def test_a_node_that_is_null_in_some_runs(study):
    fill(study, model={"base": None})
    fill(study, model={"base": {"_target_": "theirs.Base", "seed": 0}})
    with pytest.raises(UserError, match=r"model\.base\._target_ is .*; --across model\.base puts them side by side"):
        threshold(study)
    curves = content(threshold(study, across=["model.base"]))["curves"]
    assert [curve["curve"] for curve in curves] == [f"subspace (fastfood), base={name}" for name in ("Base", "null")]


@pytest.mark.slow
def test_the_command(study):
    fill(study)
    done = python("-m", "analysis.threshold", study)
    assert (done.returncode, done.stderr) == (0, "")
    assert "subspace (fastfood): d90 = " in done.stdout
    assert str(study / "threshold.json") in done.stdout
    bad = python("-m", "analysis.threshold", study, "--fraction", "2")
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1


def test_the_baseline_may_be_of_another_start(study):
    fill(study, start={"source": "hub"})
    for dim in (300, 1000, 3000, 10000):
        score = accuracy(dim, 0, centre=1000.0)
        add(study, "subspace", score, score, projection="Fastfood", dim=dim, start={"source": None})
    drawn = threshold(study, across=["start.source"])
    found = {curve["curve"]: curve for curve in content(drawn)["curves"]}
    assert list(found) == ["subspace (fastfood), source=hub", "subspace (fastfood), source=null"]
    near, far = found.values()
    assert near["baselines"] == far["baselines"] == [0.95, 0.952, 0.954]
    assert near["threshold"]["value"] < 1000 < far["threshold"]["value"]
    refused("different tasks: start.source is", study, figure=threshold)


def test_one_baseline_for_all(study):
    """Two networks against a target each, then against the better one's: that of the worse one moves up."""
    for width, scale in ((50, 0.8), (200, 1.0)):
        for seed in (0, 1, 2):
            add(study, "full", 0.95 * scale, seed=seed, **{"model.width": width})
            for dim in (30, 100, 300, 1000, 3000):
                score = scale * accuracy(dim, seed)
                config = {"model.width": width, "projection": "Fastfood", "dim": dim, "seed": seed}
                add(study, "subspace", score, score, **config)
    own, one = (
        {
            each["curve"].rpartition("=")[2]: each
            for each in content(threshold(study, across=["model.width"], **more))["curves"]
        }
        for more in ({}, {"baseline": ["model.width=200"]})
    )
    assert own["50"]["threshold"]["target"] == pytest.approx(0.8 * own["200"]["threshold"]["target"])
    assert one["50"]["threshold"]["target"] == one["200"]["threshold"]["target"] == own["200"]["threshold"]["target"]
    assert one["200"]["threshold"]["value"] == own["200"]["threshold"]["value"]
    assert (one["50"]["threshold"]["value"] or 3000) > own["50"]["threshold"]["value"]
    with pytest.raises(UserError, match=r"no run has model.width=7; model.width is 200, 50"):
        threshold(study, across=["model.width"], baseline=["model.width=7"])
    with pytest.raises(UserError, match=r"need one baseline, got several with seed=0: they differ in model.width"):
        threshold(study, across=["model.width"], baseline=["seed=0"])
