"""d90: formulas against naive ones, and data of every kind."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit
from sklearn.isotonic import IsotonicRegression

import intrinsic
from intrinsic.threshold import Threshold, estimate_threshold, propose
from intrinsic.threshold.crossings import ESTIMATORS
from intrinsic.threshold.isotonic import isotonic
from intrinsic.threshold.logistic import fit_logistic, logistic
from intrinsic.threshold.sigmoid_grid import SigmoidGrid
from intrinsic.threshold.sigmoids import PARTS, _models
from tests.support.curves import DIMS, curve

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
every_estimand = pytest.mark.parametrize("estimand", ["mean", "success"])


def noisy(dims, noise, seed=0):
    return list(curve(dims) + noise * np.random.default_rng(seed).standard_normal(len(dims)))


def test_isotonic_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 5, 12).astype(float)
    for y in rng.standard_normal((50, 12)) + np.linspace(0, 1, 12):
        expected = IsotonicRegression().fit_transform(np.arange(12), y, sample_weight=weights)
        np.testing.assert_allclose(isotonic(y[None], weights)[0], expected, atol=1e-12)


def test_logistic_is_that_of_curve_fit():
    rng = np.random.default_rng(0)
    x = np.repeat(np.log2(DIMS), 3)
    y = curve(2**x) + 0.03 * rng.standard_normal((20, len(x)))
    fits = fit_logistic(x, y)
    for row, fit in zip(y, fits, strict=True):
        start = (0.0, 1.0, 5.0, 0.5)
        best, _ = curve_fit(lambda x, *p: logistic(x, np.array([p]))[0], x, row, start, maxfev=10_000)
        losses = [np.sum((logistic(x, np.array([p]))[0] - row) ** 2) for p in (fit, best)]
        assert losses[0] < losses[1] * (1 + 1e-6)  # least squares to the tolerance of curve_fit


def test_the_evidence_of_a_pair_is_that_of_its_regression():
    """Loss and determinant of every pair by dense linear algebra."""
    rng = np.random.default_rng(0)
    parts, y = rng.standard_normal((9, 6)), rng.standard_normal(9)
    ridge, least, dof = 0.3, 0.01, 8.0
    A = parts.T @ parts + ridge * np.eye(6)
    size = np.sqrt(np.diag(A))
    grid = SigmoidGrid(np.zeros(6), np.ones(6), np.log(np.full(6, 1 / 6)), np.zeros(1))
    scaled = A / np.outer(size, size) - np.eye(6)
    first, second, log_weight = _models(grid, parts.T @ y / size, size, scaled, y @ y, least, ridge, dof)
    for i, j, weight in zip(first, second, log_weight, strict=True):
        some = [k for k in (i, j) if k >= 0]
        B = A[np.ix_(some, some)]
        b = parts[:, some].T @ y
        loss = y @ y - b @ np.linalg.solve(B, b)
        log_prior = np.log(PARTS[len(some)]) - len(some) * np.log(6) + np.log(2) * (len(some) == 2)
        expected = (
            log_prior + 0.5 * len(some) * np.log(ridge) - 0.5 * np.linalg.slogdet(B)[1] - 0.5 * dof * np.log(loss)
        )
        assert weight == pytest.approx(expected, abs=1e-9)
    assert len(first) == 1 + 6 + 15


@every_estimand
@every_estimator
def test_finds_the_threshold(estimator, estimand):
    dims = [dim for dim in range(20, 400, 20) for _ in range(4)]
    found = estimate_threshold(dims, noisy(dims, 0.02), [1.0, 1.01, 0.99], estimator=estimator, estimand=estimand)
    assert found.low < 100 < found.high or estimator == "first_crossing"
    assert found.value == pytest.approx(100, rel=0.25)  # within a dim that was tried or so
    assert found.censored is None
    assert (found.estimator, found.estimand, found.runs) == (estimator, estimand, len(dims))
    assert found.target == pytest.approx(0.9)


@every_estimand
@every_estimator
def test_without_noise_the_step_lies_between_its_dims(estimator, estimand):
    found = estimate_threshold(DIMS, [0.1] * 3 + [1.0] * 4, [1.0], estimator=estimator, estimand=estimand)
    assert 40 <= found.low <= found.value <= found.high <= 80.001  # the logistic's step has a width


def test_the_default_says_that_a_step_may_be_anywhere_between_its_dims():
    found = estimate_threshold(DIMS, [0.1] * 3 + [1.0] * 4, [1.0, 1.0])
    assert 40 < found.low < 42
    assert 76 < found.high < 80


@every_estimand
@every_estimator
@pytest.mark.parametrize(("score", "censored"), [(0.1, "above"), (0.99, "below")])
def test_beyond_the_tried_dims(score, censored, estimator, estimand):
    scores = [score + 0.001 * (i % 2) for i in range(7)]
    found = estimate_threshold(DIMS, scores, [1.0, 1.01], estimator=estimator, estimand=estimand)
    assert found.censored == censored
    bound = 640 if censored == "above" else 10
    assert (found.value, found.low, found.high) == ((bound, bound, None) if bound == 640 else (bound, None, bound))
    assert str(found).startswith("d90 > 640 (95 %" if bound == 640 else "d90 < 10 (95 %")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["high"] == found.high


def test_a_bound_that_holds_for_the_estimate_alone_is_said_with_its_interval():
    """Of few runs: the median of the posterior lies below the tried dims, and much of the rest does not."""
    found = estimate_threshold([1500, 3000, 10_000], [0.7457, 0.7479, 0.7842], [0.8342])
    assert (found.censored, found.value, found.low, found.high) == ("below", 1500, None, None)
    assert str(found) == "d90 < 1,500 [?, ?] (95 %, auto, mean)"


def test_an_end_may_be_open():
    """The last dim alone reaches the target, within the noise."""
    found = estimate_threshold(DIMS, [0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.91], [1.0, 1.02, 0.98])
    assert found.censored is None
    assert found.high is None
    assert "?] (95 %, auto, mean)" in str(found)


def test_how_it_is_written():
    found = Threshold(612.3, 560.2, 679.6, None, "auto", "mean", 0.9, 1.0, 21, 0.95, 0.9, None)
    assert str(found) == "d90 = 612 [560, 680] (95 %, auto, mean)"


@every_estimator
@pytest.mark.parametrize("scores", [[0.5] * 7, [0.0] * 7, [0.9] * 7, [1, 0, 0, 1, 0, 1, 1], [1, 1, 1, 0, 0, 0, 0]])
def test_any_scores_give_plain_numbers(scores, estimator):
    found = estimate_threshold(DIMS, scores, [1.0], estimator=estimator)
    json.dumps(found.to_dict(), allow_nan=False)
    assert 10 <= found.value <= 640


@every_estimator
def test_units_do_not_matter(estimator):
    scores = noisy(DIMS * 3, 0.005)
    one = estimate_threshold(DIMS * 3, scores, [1.0, 0.99], estimator=estimator)
    other = estimate_threshold(DIMS * 3, [1e6 * s for s in scores], [1e6, 0.99e6], estimator=estimator)
    far = estimate_threshold([10**6 * d for d in DIMS * 3], scores, [1.0, 0.99], estimator=estimator)
    assert [other.value, other.low, other.high] == pytest.approx([one.value, one.low, one.high], rel=1e-6)
    assert far.value == pytest.approx(1e6 * one.value, rel=1e-6)


def test_losses_are_turned():
    scores = noisy(DIMS, 0.02)
    up = estimate_threshold(DIMS, scores, [1.0, 0.99], chance=0.1)
    down = estimate_threshold(DIMS, [2 - s for s in scores], [1.0, 1.01], chance=1.9, lower_is_better=True)
    assert (down.value, down.low) == pytest.approx((up.value, up.low), rel=1e-6)
    assert down.target == pytest.approx(2 - up.target)
    assert estimate_threshold(DIMS, scores, [0.3], lower_is_better=True).target == pytest.approx(0.3 / 0.9)


def test_the_floor_is_where_the_fraction_counts_from():
    scores = noisy(DIMS, 0.02)
    found = estimate_threshold(DIMS, scores, [1.0, 0.99], floor=0.2)
    assert found.target == pytest.approx(0.2 + 0.9 * (0.995 - 0.2))
    assert found == estimate_threshold(DIMS, scores, [1.0, 0.99], chance=0.2)  # its older name
    assert (found.floor, found.chance, found.to_dict()["chance"], found.start) == (0.2, 0.2, 0.2, None)


@every_estimand
@every_estimator
@pytest.mark.parametrize("start", [0.9, 0.95])
def test_a_start_that_reaches_the_target_is_zero_and_nothing_is_fitted(start, estimator, estimand):
    kinds = {"estimator": estimator, "estimand": estimand}
    found = estimate_threshold(DIMS, noisy(DIMS, 0.02), [1.0, 1.0], start=start, **kinds)
    assert (found.value, found.low, found.high, found.censored, found.draws) == (0.0, None, None, "start", None)
    assert str(found) == f"d90 = 0 (the start is above the target: {start} >= 0.9; use floor=start)"
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["start"] == start
    assert propose([], [], [1.0, 1.0], low=10, high=640, batch=2, start=start) == []


def test_a_start_below_the_target_changes_nothing_and_as_a_floor_it_raises_the_target():
    scores = noisy(DIMS * 3, 0.02)
    plain = estimate_threshold(DIMS * 3, scores, [1.0, 1.0], start=0.89)
    assert plain == replace(estimate_threshold(DIMS * 3, scores, [1.0, 1.0]), start=0.89)
    above = estimate_threshold(DIMS * 3, scores, [1.0, 1.0], floor=0.89, start=0.89)
    assert above.target == pytest.approx(0.989)
    assert above.value > plain.value


def test_the_start_of_a_loss_is_turned():
    losses = {"dims": DIMS, "scores": [2 - y for y in noisy(DIMS, 0.02)], "baselines": [1.0], "lower_is_better": True}
    found = estimate_threshold(**losses, start=1.05)
    assert str(found) == "d90 = 0 (the start is below the target: 1.05 <= 1.111; use floor=start)"
    assert estimate_threshold(**losses, start=1.2).censored is None


def test_repeats_order_and_seed():
    dims = [*DIMS, 80, 80, 160]
    scores = noisy(dims, 0.02)
    one = estimate_threshold(dims, scores, [1.0, 0.99])
    assert estimate_threshold(dims, scores, [1.0, 0.99]) == one
    assert estimate_threshold(dims, scores, [1.0, 0.99], seed=1) != one
    turned = estimate_threshold(dims[::-1], scores[::-1], [1.0, 0.99])
    assert turned.value == pytest.approx(one.value, rel=1e-6)


def test_fewer_baselines_widen_the_interval():
    scores = noisy(DIMS * 3, 0.02)
    widths = []
    for count in (2, 3, 20):
        found = estimate_threshold(DIMS * 3, scores, [1 + 0.02 * (-1) ** i for i in range(count)])
        widths.append(math.log2(found.high / found.low))
    assert widths == sorted(widths, reverse=True)


def test_lazy_names():
    assert intrinsic.estimate_threshold is estimate_threshold
    assert intrinsic.propose is propose


def ties(correct):
    """Scores of a tenth of it, of nine tenths and of all that full training answers rightly of a hundred."""
    return [correct / 1000, 9 * correct / 1000, correct / 100]


@pytest.mark.parametrize("seeds", [1, 3, 6, 7])
@pytest.mark.parametrize("correct", range(10, 101, 10))
def test_a_score_that_is_the_target_reaches_it(correct, seeds):
    """0.9 * 0.4 is a bit above 0.36: d90 was the next tried dim, or beyond the last."""
    few, exactly, most = ties(correct)
    dims, baselines = [10, 20, 40] * seeds, [correct / 100] * seeds
    options = {"baselines": baselines, "resamples": 100}
    first = {"estimator": "first_crossing"}
    assert estimate_threshold(dims, [few, exactly, most] * seeds, **first, **options).value == 20
    won = estimate_threshold(dims, [few, exactly, most] * seeds, **first, estimand="success", **options)
    assert won.value == 20
    last = estimate_threshold(dims, [few, few, exactly] * seeds, estimator="isotonic", **options)
    assert (last.value, last.censored) == (40, None)
    start = estimate_threshold(dims, [few, exactly, most] * seeds, start=exactly, **options)
    assert (start.value, start.censored) == (0, "start")


@pytest.mark.parametrize("unit", [100.0, 3.0, 7.0])
@pytest.mark.parametrize(
    ("dims", "scores"), [([10, 50, 200, 5000], [0.8, 1, 1, 1]), ([1, 2, 5, 50, 200], [0.4, 0.9, 1, 1, 1])]
)
def test_the_interval_does_not_ask_in_which_unit_scores_are(dims, scores, unit):
    """Rounding parted equal levels of the isotonic fit, each of which takes a degree of freedom from the targets."""
    plain, other = (
        estimate_threshold(dims, [u * s for s in scores], [u * b for b in (0.99, 0.97)], estimator="isotonic")
        for u in (1.0, unit)
    )
    for end in ("value", "low", "high"):
        assert getattr(other, end) == pytest.approx(getattr(plain, end), rel=1e-9)
