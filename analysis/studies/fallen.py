"""Notes on curves that reach their target and fall below it again: a threshold supposes that they rise."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from analysis.studies.estimates import Estimate
from intrinsic.threshold.reaches import reaches

LEVEL = 0.05  # probability of a note on a curve that stays at its target, over all of its sizes
NAMED = 3  # sizes


def fallen(found: Sequence[Estimate], axis: str) -> list[str]:
    """A note for each curve whose mean reaches the target at one size and is below it at a larger one.

    Both the way to the target and that to the mean where the curve was highest before must be more than noise, by a
    one-sided t-test with Bonferroni's share of `LEVEL` for each larger size: of the standard deviation within sizes,
    pooled, or a size's own where that is larger. Sizes of one seed, of which a search has many, have no part in it.
    """
    notes = []
    for each in found:
        sizes = _fallen(each)
        if len(sizes) > 1:
            assert each.threshold is not None
            first, *falls = [f"{size:,}" for size in sizes]
            shown = ", ".join(falls[:NAMED]) + ", ..." * (len(falls) > NAMED)
            notes.append(
                f"{each.curve} reaches its target, {each.threshold.target:.3g}, at {axis} {first} and lies below it "
                f"again at {shown}, by more than noise: the threshold supposes a curve that rises"
            )
    return notes


def _fallen(each: Estimate) -> list[int]:
    """The size at which the mean reaches the target first, and those at which it has fallen below it again."""
    known = each.threshold
    if known is None or known.censored == "start" or known.estimand != "mean":
        return []
    dims, scores, full = (np.asarray(part, float) for part in (each.dims, each.scores, each.baselines))
    repeated = [dims.tolist().count(dim) > 1 for dim in dims.tolist()]
    if not any(repeated):
        return []
    scores = scores[repeated]
    sizes, place, counts = np.unique(dims[repeated], return_inverse=True, return_counts=True)
    means = np.bincount(place, scores) / counts
    squares = np.bincount(place, (scores - means[place]) ** 2)
    free = int((counts - 1).sum())
    reached = np.flatnonzero(reaches(means, known.target))
    if not len(reached) or reached[0] == len(sizes) - 1:
        return []
    first = int(reached[0])
    pooled = squares.sum() / free
    spread = np.maximum(squares / np.maximum(counts - 1, 1), pooled) / counts  # variance of each mean
    of_target = known.fraction**2 * max(pooled, full.var(ddof=1) if len(full) > 1 else 0.0) / len(full)
    margin = stdtrit(free, 1 - LEVEL / (len(sizes) - 1 - first))
    falls = [int(sizes[first])]
    for k in range(first + 1, len(sizes)):
        top = first + int(means[first:k].argmax())
        below = known.target - means[k] > margin * np.sqrt(spread[k] + of_target)
        if below and means[top] - means[k] > margin * np.sqrt(spread[k] + spread[top]):
            falls.append(int(sizes[k]))
    return falls
