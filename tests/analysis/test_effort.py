"""The threshold against a choice of training."""

import pytest

from analysis.effort import effort
from tests.support.studies import add, refused

pytestmark = pytest.mark.usefixtures("unrendered")


def curve(study, half, **swept):
    """Scores that rise through 0.5 of their range at `half` dims."""
    for dim in (10, 30, 100, 300, 1000):
        score = 0.1 + 0.9 / (1 + (half / dim) ** 2)
        add(study, "subspace", score, score, projection="Fastfood", dim=dim, **swept)


def baselines(study, **swept):
    for seed in range(3):
        add(study, "full", 0.98 + 0.002 * seed, seed=seed, **swept)


@pytest.mark.slow
def test_each_rate_has_its_threshold_against_one_baseline(study):
    baselines(study)
    for lr, half in ((0.1, 20), (0.01, 100), (0.03, 1e4)):
        curve(study, half, optim={"lr": lr})
    drawn = effort(study, across=["optim.lr"], estimator="first_crossing")
    rows = drawn.rows.set_index("choice")
    assert list(rows.index) == ["0.01", "0.03", "0.1"]  # by size
    assert set(rows["method"]) == {"subspace (fastfood)"}
    assert rows["target"].tolist() == pytest.approx([0.9 * 0.982] * 3)
    # 0.1 + 0.9 / (1 + (h / d)^2) = 0.8838 at d = 2.60 h, and the next size that was tried is
    assert (rows.loc["0.1", "value"], rows.loc["0.01", "value"]) == (100, 300)
    assert (rows.loc["0.03", "censored"], rows.loc["0.03", "value"]) == ("above", 1000)
    assert drawn.effort == ("full: 1 rate, 3 seeds, 30 epochs · 0.01, 0.03, 0.1: 1 rate, 1 seed, 30 epochs",)
    assert [text.get_text() for text in drawn.figure.axes[0].get_xticklabels()] == ["0.01", "0.03", "0.1"]
    (ratios,) = drawn.more
    assert len(ratios) == 3
    assert [line.partition(": ")[0] for line in drawn.results] == [
        f"subspace (fastfood), lr={lr}" for lr in ("0.01", "0.03", "0.1")
    ]
    half = effort(study, across=["optim.lr"], estimator="first_crossing", floor=0.5)
    assert half.rows["target"].tolist() == pytest.approx([0.5 + 0.9 * 0.482] * 3)


@pytest.mark.slow
def test_epochs_have_baselines_of_their_own_and_a_schedule_follows_them(study):
    for epochs, half in ((3, 50), (10, 20)):
        baselines(study, epochs=epochs, schedule={"T_max": epochs})
        curve(study, half, epochs=epochs, schedule={"T_max": epochs})
    rows = effort(study, across=["epochs"]).rows
    assert rows["choice"].tolist() == ["3", "10"]
    assert rows["value"].is_monotonic_decreasing


def test_optimisers_are_named_by_what_they_have(study):
    baselines(study)
    curve(study, 50, optim={"_target_": "torch.optim.SGD", "momentum": 0.9})
    curve(study, 20, optim={"_target_": "torch.optim.Adam"})
    drawn = effort(study, across=["optim._target_", "optim.momentum"])
    assert drawn.rows["choice"].tolist() == ["Adam", "SGD, momentum=0.9"]
    assert set(drawn.rows["method"]) == {"subspace (fastfood)"}


def test_what_cannot_be_compared_is_one_line(study):
    baselines(study)
    curve(study, 20)
    refused("need --across KEY .* such as --across optim.lr", study, figure=effort)
    refused("need two values of optim.lr for a comparison, got 0.01", study, figure=effort, across=["optim.lr"])
