"""The comparison of two thresholds: their ratio, its interval, and which is smaller."""

from dataclasses import replace

import numpy as np

from intrinsic.errors import UserError
from intrinsic.threshold.comparison import Comparison
from intrinsic.threshold.crossings import crossings
from intrinsic.threshold.draws import Draws
from intrinsic.threshold.seed_effects import seed_effects
from intrinsic.threshold.threshold import REMEDY, Threshold

Array = np.ndarray
BLOCKS = 20  # of draws with targets alike, where both have the same baselines
SPREAD = 0.85  # of a single threshold's draws: see `compare_thresholds`
SAME = ("fraction", "estimand", "estimator", "confidence")


def compare_thresholds(a: Threshold, b: Threshold) -> Comparison:
    """Compare two thresholds by a / b, from the draws that they keep.

    Draws of separate runs are independent, so that every draw of a meets every one of b: log a - log b has the
    distribution of all differences. A single interval has room for a curve of the worst shape; that both are, and to
    opposite sides, is rarer, and the differences of the draws as they are would hold the truth in 98 to 99 % of
    simulated pairs. They are 0.85 as far from their medians here. Noise that both share is taken off:

    - Baselines with equal scores are the same runs, as of two methods on one network: the target is then one unknown
      number, and only draws of about the same target meet (20 blocks by its quantiles).
    - Seeds: where `estimate_threshold` was given `seeds`, and runs of one seed score higher or lower in both searches
      (`seed_effects`), both are estimated again without the effects that they have in common. For estimand "mean".

    By simulation 95 % intervals hold true ratios of 1, 1.5 and 4, and P(a < b) is uniform where a = b: the table in
    docs/guides/reading_a_d90.md.

    Args:
        a: from `estimate_threshold`.
        b: the other, of the same task, metric, fraction, estimand and confidence.

    Raises:
        UserError: something else than thresholds, or one without draws; the two differ in fraction, estimand,
            estimator, confidence, or in whether lower is better or a floor is given; one is 0, as its start reaches the
            target.

    Examples:
        >>> import intrinsic
        >>> dims, fast, slow = [10, 30, 100, 300, 1000], [0.4, 0.9, 0.95, 0.96, 0.97], [0.1, 0.2, 0.6, 0.92, 0.96]
        >>> a, b = (intrinsic.estimate_threshold(dims * 2, scores * 2, [0.98, 0.97]) for scores in (fast, slow))
        >>> found = intrinsic.compare_thresholds(a, b)
        >>> found.low < found.ratio < found.high < 0.5
        True
    """
    ours, theirs = _draws("a", a), _draws("b", b)
    _check(a, b, ours, theirs)
    paired = []
    effects = seed_effects(ours, theirs) if a.estimand == "mean" else None
    if effects is not None:
        paired.append("seeds")
        ours, theirs = (_without(effects, draws, a.estimator, a.estimand) for draws in (ours, theirs))
    same = np.array_equal(np.sort(ours.data.baselines), np.sort(theirs.data.baselines))
    if same:
        paired.append("baselines")
    low, high = _differences(ours, theirs, BLOCKS if same else 1)
    tail = (1 - a.confidence) / 2
    first = float(np.quantile(low, tail, method="inverted_cdf"))
    last = float(np.quantile(high, 1 - tail, method="inverted_cdf"))
    less = np.mean(high < 0)
    return Comparison(
        ratio=None if a.censored or b.censored else float(f"{a.value / b.value:.10g}"),
        low=_ratio(first),
        high=_ratio(last),
        p_less=float(less + (1 - less - np.mean(low > 0)) / 2),
        confidence=a.confidence,
        paired=tuple(sorted(paired)),
    )


def _draws(name: str, threshold: Threshold) -> Draws:
    if not isinstance(threshold, Threshold):
        raise UserError(f"need {name} to be a Threshold, got {type(threshold).__name__}: use estimate_threshold")
    if threshold.censored == "start":
        raise UserError(
            f"need two thresholds above 0 for a ratio, got {name} = 0: its start is above the target; {REMEDY}"
        )
    if threshold.draws is None:
        raise UserError(f"need a threshold with its draws as {name}, got one without: estimate_threshold gives them")
    return threshold.draws


def _check(a: Threshold, b: Threshold, ours: Draws, theirs: Draws) -> None:
    for name in SAME:
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            raise UserError(f"need thresholds of one {name}, got {one} and {other}: estimate both with the same")
    if ours.data.sign != theirs.data.sign:
        raise UserError("need thresholds of one metric, got one for which higher is better and one where lower is")
    if (a.floor is None) != (b.floor is None):
        raise UserError(f"need a floor for both thresholds or for none, got {a.floor} and {b.floor}")


def _without(effects: dict[int, float], draws: Draws, estimator: str, estimand: str) -> Draws:
    """The search estimated again without the effects of its seeds, whose mean over its runs stays."""
    assert draws.seeds is not None
    shift = np.array([effects.get(int(seed), 0.0) for seed in draws.seeds])
    data = replace(draws.data, y=draws.data.y - shift + shift.mean())
    _, places, targets = crossings(data, estimator, estimand, len(draws.places), np.random.default_rng(0))
    return Draws(places, targets, data, draws.seeds)


def _differences(a: Draws, b: Draws, blocks: int) -> tuple[Array, Array]:
    """What is known of log2 a - log2 b for each pair of draws of one block of targets: at least, at most."""
    (a_low, a_high), (b_low, b_high) = a.bounds(SPREAD), b.bounds(SPREAD)
    parts = zip(*(np.array_split(np.argsort(each.targets, kind="stable"), blocks) for each in (a, b)), strict=True)
    pairs = [(i[:, None], j) for i, j in parts]
    low = np.concatenate([(a_low[i] - b_high[j]).ravel() for i, j in pairs])
    return low, np.concatenate([(a_high[i] - b_low[j]).ravel() for i, j in pairs])


def _ratio(place: float) -> float | None:
    """2^place without the last digits, which are rounding; None for no end."""
    return float(f"{2.0**place:.10g}") if np.isfinite(place) else None
