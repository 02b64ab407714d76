"""Where the groups of a random partition begin, without the permutation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from intrinsic import rng

_CHUNK = 1 << 22  # keys at a time
_MOST_BITS = 26


@dataclass(frozen=True)
class Borders:
    """The first weights of the groups 1, 2, ... in the order of their keys, those of equal keys in their own."""

    keys: np.ndarray  # (dim - 1,) uint64
    weights: np.ndarray  # (dim - 1,) int64: whose keys

    def group(self, keys: np.ndarray, start: int) -> np.ndarray:
        """The groups of the weights from `start` on, by their keys: (count,) int64."""
        found = np.searchsorted(self.keys, keys, side="right")
        first = np.searchsorted(self.keys, keys, side="left")
        for i in np.flatnonzero(found > first):  # as large as a border's key, which weight comes first?
            found[i] = first[i] + np.count_nonzero(self.weights[first[i] : found[i]] <= start + i)
        return found


def borders(dim: int, full_dim: int, *, seed: int) -> Borders:
    """Where the groups of `rng.permutation(seed, full_dim)`, cut into `dim` as equal as can be, begin.

    Two passes over the stream of keys: the first counts them by their highest bits, the second keeps those in whose
    counts a border lies. Memory: 2 to 16 bytes for each of full_dim / 4 to 2^26 counts, and 16 for each key kept.
    """
    sizes = np.full(dim, full_dim // dim)
    sizes[: full_dim % dim] += 1
    ranks = sizes.cumsum()[:-1]  # of the first weight of groups 1, 2, ...
    bits = min(_MOST_BITS, max(1, full_dim.bit_length() - 2))
    counts = np.zeros(1 << bits, dtype=np.int64)
    for _, keys in _stream(seed, full_dim):
        counts += np.bincount(_highest(keys, bits), minlength=len(counts))
    ends = counts.cumsum()
    of_rank = np.searchsorted(ends, ranks, side="right")  # which count each border lies in
    wanted = np.zeros(len(counts), dtype=bool)
    wanted[of_rank] = True
    kept, weights = [], []
    for low, keys in _stream(seed, full_dim):
        found = np.flatnonzero(wanted[_highest(keys, bits)])
        kept.append(keys[found])
        weights.append(low + found)
    key, weight = np.concatenate(kept), np.concatenate(weights)
    order = np.argsort(key, kind="stable")
    before = np.cumsum(np.where(wanted, 0, counts))  # how many that were not kept come before those of a count
    place = order[ranks - before[of_rank]]
    return Borders(key[place], weight[place])


def _highest(keys: np.ndarray, bits: int) -> np.ndarray:
    return (keys >> np.uint64(64 - bits)).astype(np.int64)


def _stream(seed: int, count: int) -> Iterator[tuple[int, np.ndarray]]:
    for low in range(0, count, _CHUNK):
        yield low, rng.keys(seed, min(_CHUNK, count - low), start=low)
