"""Ratios of thresholds: against naive formulas, beyond the tried dims, and with what two searches share."""

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr

import intrinsic
from intrinsic.threshold import Threshold, compare_thresholds, estimate_threshold
from intrinsic.threshold.draws import Draws
from intrinsic.threshold.seed_effects import correlated_by_chance, seed_effects
from tests.support.curves import DIMS, curve

SEEDS = [seed for _ in DIMS for seed in range(5)]


def searched(threshold=100.0, noise=0.02, seed=0, effects=(0.0,) * 5, baselines=(1.0, 0.99, 1.01), **options):
    dims = np.repeat(DIMS, 5)
    scores = curve(dims, threshold) + noise * np.random.default_rng(seed).standard_normal(len(dims))
    scores += np.tile(effects, len(DIMS))
    return estimate_threshold(dims.tolist(), scores.tolist(), list(baselines), seeds=SEEDS, **options)


def width(found):
    return math.log2(found.high / found.low)


def test_it_is_every_draw_against_every_other():
    a, b = searched(50.0), searched(150.0, seed=1, baselines=(1.0, 1.02))
    found = compare_thresholds(a, b)
    x, y = (m + 0.85 * (each.draws.places - m) for each in (a, b) for m in [np.log2(each.value)])
    differences = np.sort((x[:, None] - y).ravel())
    count = len(differences)
    assert (found.low, found.high) == pytest.approx(
        [2.0 ** differences[int(share * count)] for share in (0.025, 0.975)], rel=1e-4
    )
    assert found.p_less == pytest.approx(np.mean([np.mean(place < y) for place in x]), abs=1e-5)
    assert found.ratio == pytest.approx(a.value / b.value)
    assert (found.low < 1 / 3 < found.high, found.paired, found.confidence) == (True, (), 0.95)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["low"] == found.low


def test_the_other_way_round_it_is_the_inverse():
    a, b = searched(50.0), searched(60.0, seed=1, baselines=(1.0, 1.02))
    one, other = compare_thresholds(a, b), compare_thresholds(b, a)
    assert (other.ratio, other.low, other.high) == pytest.approx((1 / one.ratio, 1 / one.high, 1 / one.low), rel=1e-3)
    assert other.p_less == pytest.approx(1 - one.p_less)


def test_the_same_runs_differ_by_their_noise():
    """The draws of one seed are no pairs: number by number the difference would be zero."""
    a = searched()
    found = compare_thresholds(a, a)
    assert found.low < 0.99 < 1 == found.ratio < 1.01 < found.high
    assert found.p_less == pytest.approx(0.5, abs=0.02)


def test_equal_baselines_are_one_target():
    """Noisy baselines make each threshold uncertain, and their ratio less so."""
    few = (1.03, 0.97, 1.0)
    a, b = (searched(100.0, 0.005, seed, baselines=few) for seed in (0, 1))
    apart = searched(100.0, 0.005, 1, baselines=(1.0300001, 0.97, 1.0))
    one, other = compare_thresholds(a, b), compare_thresholds(a, apart)
    assert (one.paired, other.paired) == (("baselines",), ())
    assert width(one) < 0.7 * width(other)


def test_effects_of_seeds_are_those_of_least_squares():
    effects = np.array([0.05, -0.05, 0.1, 0.0, -0.1])
    a, b = (searched(noise=0.001, seed=seed, effects=effects).draws for seed in (0, 1))
    y = np.array([draws.data.y.reshape(-1, 5) for draws in (a, b)])
    u, v = (part - part.mean() for part in (y - y.mean(2, keepdims=True)).mean(1))
    found = seed_effects(a, b)
    shrink = u @ v / np.sum(((u + v) / 2) ** 2)
    assert list(found.values()) == pytest.approx(shrink * (u + v) / 2)
    assert list(found.values()) == pytest.approx(effects, abs=2e-3)


@pytest.mark.parametrize("count", [3, 4, 9, 30])
def test_a_correlation_by_chance_is_pearson_s(count):
    u, v = np.random.default_rng(count).normal(size=(2, count))
    u, v = u - u.mean(), v - v.mean()
    for other in (v, -v, u + 0.1 * v):
        expected = pearsonr(u, other, alternative="greater").pvalue
        assert correlated_by_chance(u, other) == pytest.approx(expected, rel=1e-9)
    assert (correlated_by_chance(u, 3 * u), correlated_by_chance(u, -u)) == pytest.approx((0, 1))


def test_what_a_seed_does_to_both_is_taken_off():
    effects = (0.05, -0.05, 0.1, 0.0, -0.1)
    a, b = (searched(90.0, 0.005, seed, effects) for seed in (0, 1))
    nobody = replace(a, draws=replace(a.draws, seeds=None))
    one, other = compare_thresholds(a, b), compare_thresholds(nobody, b)
    assert (one.paired, other.paired) == (("baselines", "seeds"), ("baselines",))
    assert width(one) < 0.5 * width(other)
    assert compare_thresholds(a, searched(90.0, 0.005, 1, effects[::-1])).paired == ("baselines",)


def test_seeds_change_no_threshold():
    with_seeds = searched()
    dims = np.repeat(DIMS, 5).tolist()
    assert estimate_threshold(dims, with_seeds.draws.data.y.tolist(), [1.0, 0.99, 1.01]) == with_seeds


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_beyond_the_tried_dims(lower_is_better):
    """Within 10 to 640 one is 100, the others lie above and below."""
    dims = DIMS * 3
    scores = {"some": curve(dims), "above": np.full(21, 0.2), "below": np.full(21, 0.99)}
    turned = {"chance": 1.9, "lower_is_better": True} if lower_is_better else {"chance": 0.1}
    some, above, below = (
        estimate_threshold(dims, [2 - y if lower_is_better else y for y in ys.tolist()], [1.0, 1.01, 0.99], **turned)
        for ys in scores.values()
    )
    found = compare_thresholds(some, above)
    assert (found.ratio, found.low, found.p_less) == (None, None, 1.0)
    assert 100 / 640 < found.high < 0.5
    assert str(found).startswith("? [?, 0.")
    assert compare_thresholds(above, some).p_less == 0.0
    found = compare_thresholds(some, below)
    assert (found.ratio, found.high, found.p_less) == (None, None, 0.0)
    assert 4 < found.low < 11  # 100 / 10, and what the grid of curves misses
    found = compare_thresholds(above, above)
    assert (found.ratio, found.low, found.high, found.p_less) == (None, None, None, 0.5)
    found = compare_thresholds(below, above)
    assert (found.high, found.p_less) == (pytest.approx(10 / 640), 1.0)


def test_it_goes_to_another_process():
    a, b = searched(50.0), searched(90.0, seed=1)
    there = pickle.loads(pickle.dumps((a, b)))  # noqa: S301  our own bytes
    assert compare_thresholds(*there) == compare_thresholds(a, b)


LOSSES = {"dims": DIMS, "scores": [0.9, 0.8, 0.7, 0.5, 0.3, 0.2, 0.1], "baselines": [0.1]}
BAD = [
    (lambda: 612.0, "need b to be a Threshold, got float: use estimate_threshold"),
    (lambda: replace(searched(), draws=None), "need a threshold with its draws as b, got one without"),
    (lambda: searched(fraction=0.5), "need thresholds of one fraction, got 0.9 and 0.5"),
    (lambda: searched(estimand="success"), "need thresholds of one estimand, got mean and success"),
    (lambda: searched(estimator="isotonic"), "need thresholds of one estimator, got auto and isotonic"),
    (lambda: searched(confidence=0.9), "need thresholds of one confidence, got 0.95 and 0.9"),
    (lambda: searched(chance=0.1), "need a floor for both thresholds or for none, got None and 0.1"),
    (
        lambda: searched(start=0.99),
        "need two thresholds above 0 for a ratio, got b = 0: its start is above the target; use",
    ),
    (lambda: estimate_threshold(**LOSSES, lower_is_better=True), "need thresholds of one metric, got one for which"),
]


@pytest.mark.parametrize(("other", "message"), BAD)
def test_what_cannot_be_compared_is_one_line(other, message):
    with pytest.raises(intrinsic.UserError, match=message) as caught:
        compare_thresholds(searched(), other())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("seeds", "message"), [([0], "need one seed for each run, got 1"), ([0.5] * 7, "seeds")])
def test_seeds_that_are_none(seeds, message):
    with pytest.raises(intrinsic.UserError, match=message):
        estimate_threshold(DIMS, [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95], [1.0], seeds=seeds)


def test_a_threshold_of_a_file_has_no_draws():
    found = searched()
    assert isinstance(found.draws, Draws)
    assert Threshold(**found.to_dict()) == found
    before = {name: value for name, value in found.to_dict().items() if name not in ("floor", "start")}
    assert Threshold(**before | {"chance": 0.1}).floor == 0.1  # as files had it
    assert Threshold(**found.to_dict()).draws is None
