"""The first tried dim that reaches the target: how d90 was published."""

import numpy as np

from intrinsic.threshold.reaches import reaches

Array = np.ndarray


def first_crossings(x: Array, y: Array, targets: Array) -> Array:
    """The smallest dim whose mean score reaches the target, in log2 d, of each row; +inf without one.

    At the smallest dim it is -inf: the crossing lies at or below it. Biased: a noisy run can reach the target early,
    and a crossing between two dims counts as the upper one.

    Args:
        x: (n,) log2 of the dims, repeats allowed.
        y: (m, n) scores, one row a resample.
        targets: (m,).
    """
    dims, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.zeros((len(y), len(dims)))
    np.add.at(means.T, place, y.T)
    reached = reaches(means / counts, targets[:, None])
    k = reached.argmax(1)
    return np.where(~reached.any(1), np.inf, np.where(k == 0, -np.inf, dims[k]))
