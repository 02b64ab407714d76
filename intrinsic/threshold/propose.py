"""The next dims to run."""

import math
from collections.abc import Sequence

import numpy as np

from intrinsic.checks import integer, number
from intrinsic.errors import UserError
from intrinsic.threshold.crossings import check_choices, crossings
from intrinsic.threshold.measurement import measurement

SPREAD = 7  # dims of the first look at the range
DRAWS = 200
OUTER = (0.1, 0.9)  # quantiles of the crossing at which every other batch ends


def propose(
    dims: Sequence[int],
    scores: Sequence[float],
    baselines: Sequence[float],
    *,
    low: int,
    high: int,
    batch: int,
    ratio: float = 1.3,
    fraction: float = 0.9,
    floor: float | None = None,
    start: float | None = None,
    estimator: str = "auto",
    estimand: str = "mean",
    confidence: float = 0.95,
    lower_is_better: bool = False,
    seed: int = 0,
    chance: float | None = None,
) -> list[int]:
    """Propose the next `batch` dims in [low, high]; none where the interval's high / low is at most `ratio`.

    None either where the start reaches the target.

    First a spread: 7 dims (at least `batch`) evenly in log d over the range, the ends and the middle first. Then pairs
    around the crossing, at the quantiles (i + 1) / (batch + 1) of its draws, and every other time from 0.1 to 0.9: the
    inner ones cut short what is left of a step's place, the outer ones say how steep the curve is. Draws beyond the
    tried dims stand at the end of the range on their side, so that the search goes there if most of them do. A dim that
    is proposed twice, or was run before, is meant as another seed. The same inputs give the same proposal.

    The interval can't get narrower than the noise of the baselines allows; with few of them, run more of those.

    Args:
        dims: of the runs so far, as for `estimate_threshold`; none at the start.
        scores: of the runs so far.
        baselines: scores of full training.
        low: the smallest dim that may be proposed.
        high: the largest.
        batch: how many.
        ratio: high / low of the interval at which the search ends; it also ends when both lie between two whole dims.
        fraction: see `estimate_threshold`, as for all below.
        floor: see there.
        start: see there.
        estimator: see there.
        estimand: see there.
        confidence: see there.
        lower_is_better: see there.
        seed: see there.
        chance: see there.

    Raises:
        UserError: as `estimate_threshold`, but any number of dims will do; low < 1, low >= high, or not
            whole; batch < 1; ratio <= 1; a seed below 0.

    Examples:
        >>> import intrinsic
        >>> intrinsic.propose([], [], [0.98, 0.97], low=10, high=1000, batch=3)  # the ends and the middle first
        [10, 1000, 100]
    """
    for name, value in (("low", low), ("high", high), ("batch", batch)):
        if number(name, value) % 1 or value < 1:
            raise UserError(f"need a whole {name} from 1 on, got {name}={value}")
    integer("seed", seed, 0)
    if low >= high:
        raise UserError(f"need low < high, got low={low}, high={high}")
    if not number("ratio", ratio) > 1:
        raise UserError(f"need ratio > 1, got ratio={ratio}")
    check_choices(estimator, estimand, confidence)
    data = measurement(
        dims, scores, baselines,
        fraction=fraction, floor=floor, chance=chance, start=start, lower_is_better=lower_is_better,
    )  # fmt: skip
    if data.starts_there:
        return []
    missing = _missing(dims, low, high, max(SPREAD, batch))
    if len(missing) >= batch or len(set(dims)) < 3:
        return (missing or [low, high] * batch)[:batch]
    _, draws, _ = crossings(data, estimator, estimand, DRAWS, np.random.default_rng(seed))
    tail = (1 - confidence) / 2
    ends = np.quantile(draws, (tail, 1 - tail), method="inverted_cdf")
    if np.isfinite(ends).all():
        first, last = 2.0**ends
        if last <= ratio * first or math.ceil(last) - math.floor(first) <= 1:
            return []
    elif ends[0] == ends[1]:  # beyond the range, without a doubt
        edge = high if ends[0] > 0 else low
        if (max(dims) >= high) if ends[0] > 0 else (min(dims) <= low):
            return []
        return (missing + [edge] * batch)[:batch]
    inside = np.sort(np.clip(draws, math.log2(low), math.log2(high)))
    left = batch - len(missing)
    if batch == 1:
        shares = np.array([(1 / 3, 2 / 3, *OUTER)[len(dims) % 4]])
    elif len(dims) // batch % 2 and left > 1:
        shares = np.linspace(*OUTER, left)
    else:
        shares = (np.arange(left) + 1) / (left + 1)
    at = np.quantile(inside, shares)
    return missing + [int(min(max(round(2.0**place), low), high)) for place in at]


def _missing(dims: Sequence[int], low: int, high: int, count: int) -> list[int]:
    """The dims of the spread that have no run yet near them, the ends first, then always the farthest from those."""
    places = np.linspace(math.log2(low), math.log2(high), count)
    near = (places[1] - places[0]) / 2
    spread = sorted({int(min(max(round(2.0**place), low), high)) for place in places})
    order = [spread.pop(0), spread.pop()]
    while spread:
        gaps = [min(abs(math.log2(dim / other)) for other in order) for dim in spread]
        order.append(spread.pop(int(np.argmax(np.round(gaps, 6)))))
    return [dim for dim in order if not any(abs(math.log2(dim / other)) <= near for other in dims)]
