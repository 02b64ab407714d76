"""The estimate of a threshold: from scores at some dims to the dim at which the target is reached."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.threshold.crossings import check_choices, crossings
from intrinsic.threshold.draws import Draws
from intrinsic.threshold.measurement import measurement
from intrinsic.threshold.threshold import Threshold


def estimate_threshold(
    dims: Sequence[int],
    scores: Sequence[float],
    baselines: Sequence[float],
    *,
    fraction: float = 0.9,
    floor: float | None = None,
    start: float | None = None,
    estimator: str = "auto",
    estimand: str = "mean",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    lower_is_better: bool = False,
    seeds: Sequence[int] | None = None,
    chance: float | None = None,
) -> Threshold:
    """Estimate the smallest d at which the mean score (or half of the seeds) reaches the target, with an interval.

    Estimators: "auto" averages over curves of many shapes, local to the crossing (`sigmoids`), and its interval holds
    the middle `confidence` of the posterior; the value is its median. The others fit one curve to the data, "logistic"
    (four parameters in log d), "isotonic" regression, or "first_crossing" (the smallest tried d whose mean reaches the
    target, as published; biased), and take their interval from a bootstrap of runs and baselines (`bootstrap`); right
    only where their shape is. All ends are interpolated in log d and are no whole numbers. Where a mean crosses the
    target more than once, the first crossing counts. Where the `start` reaches the target, the answer is 0 and nothing
    is fitted: of a pretrained model 0.9 * full may lie below what it scores untrained; floor=start asks for nine tenths
    of what training adds.

    By simulation (docs/figures/threshold_coverage.png) the default's 95 % intervals hold the truth in 94 to 98 % of
    searches for each of five shapes and three noises. With a single seed at few dims, a steep curve and a noisy one
    look alike: the interval is then wide, or open, until some dims have repeats.

    Args:
        dims: of the runs; a dim that is repeated has several seeds.
        scores: of the runs, in any unit.
        baselines: scores of full training, over seeds. The noise of a single one is taken from the runs' noise.
        fraction: the target is fraction * mean of the baselines, or floor + fraction * (mean - floor).
        floor: the score from which the fraction counts, as known: of a guess, or the start; None: 0.
        start: the mean score at d = 0, before any training (of seeds, for "success", the median); None: not known.
        estimator: "auto", "logistic", "isotonic" or "first_crossing".
        estimand: "mean", or "success": where half of the seeds reach the target.
        confidence: of the interval.
        resamples: of the bootstrap, or draws from the posterior.
        seed: of the draws: the same data give the same answer.
        lower_is_better: for losses; the target is then baseline / fraction, or as above with a floor above it.
        seeds: of the runs; they change nothing here, and let `compare_thresholds` pair runs of one seed.
        chance: the older name of `floor`.

    Raises:
        UserError: as `measurement`; fewer than 3 distinct dims; unknown estimator or estimand; confidence not in
            (0, 1); fewer than 100 resamples; a seed below 0; seeds that are no integers, or not one for each run.

    Examples:
        >>> import intrinsic
        >>> dims, scores = [10, 30, 100, 100, 300, 300, 1000], [0.11, 0.21, 0.75, 0.78, 0.92, 0.93, 0.97]
        >>> found = intrinsic.estimate_threshold(dims, scores, baselines=[0.978, 0.981])
        >>> 100 < found.value < 300, round(found.target, 3)
        (True, 0.882)
        >>> print(intrinsic.estimate_threshold(dims, scores, baselines=[0.978, 0.981], start=0.9))
        d90 = 0 (the start is above the target: 0.9 >= 0.8816; use floor=start)
    """
    data = measurement(
        dims, scores, baselines,
        fraction=fraction, floor=floor, chance=chance, start=start, lower_is_better=lower_is_better,
    )  # fmt: skip
    if len(set(dims)) < 3:
        raise UserError(f"need at least 3 distinct dims, got {len(set(dims))}: run more of them")
    check_choices(estimator, estimand, confidence)
    if integer("resamples", resamples) < 100:
        raise UserError(f"need at least 100 resamples for an interval, got resamples={resamples}")
    integer("seed", seed, 0)
    if seeds is not None and len(seeds) != len(dims):
        raise UserError(f"need one seed for each run, got {len(seeds)} seeds and {len(dims)} runs")
    of_runs = None if seeds is None else np.array([integer("seeds", each) for each in seeds], dtype=object)
    known: dict[str, Any] = {
        "estimator": estimator,
        "estimand": estimand,
        "target": data.sign * data.target,
        "baseline": float(data.sign * data.baselines.mean()),
        "runs": len(dims),
        "confidence": confidence,
        "fraction": fraction,
        "floor": data.floor,
        "start": data.start,
    }
    if data.starts_there:
        return Threshold(value=0.0, low=None, high=None, censored="start", **known)
    value, draws, targets = crossings(data, estimator, estimand, resamples, np.random.default_rng(seed))
    smallest, largest = float(min(dims)), float(max(dims))
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, (tail, 1 - tail), method="inverted_cdf")
    ends = {-math.inf: smallest, math.inf: largest}
    censored = {-math.inf: "below", math.inf: "above"}.get(value)
    return Threshold(
        value=ends.get(value, _dim(value)),
        low=None if low == -math.inf else ends.get(float(low), _dim(low)),
        high=None if high == math.inf else ends.get(float(high), _dim(high)),
        censored=censored,
        **known,
        draws=Draws(draws, targets, data, of_runs),
    )


def _dim(place: float) -> float:
    """2^place without the last digits, which are rounding."""
    return float(f"{2.0**place:.10g}")
