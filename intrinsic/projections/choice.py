"""A random choice of some of many."""

import numpy as np

from intrinsic import rng


def choice(seed: int, count: int, total: int) -> np.ndarray:
    """`count` of the numbers below `total`, in order: the first ones of a random sequence that are not there yet."""
    few = min(count, total - count)
    found = np.empty(0, np.int64)
    drawn = 0
    while len(found) < few:
        more = few - len(found) + few // 2 + 8
        cells = (rng.keys(seed, more, start=drawn) >> np.uint64(11)) * 2.0**-53  # in [0, 1)
        numbers = np.minimum(cells * total, total - 1).astype(np.int64)  # a product may be rounded up
        together = np.append(found, numbers)
        _, first = np.unique(together, return_index=True)
        found, drawn = together[np.sort(first)][:few], drawn + more
    if few == count:
        return np.sort(found)
    rest = np.ones(total, bool)
    rest[found] = False
    return np.flatnonzero(rest)
