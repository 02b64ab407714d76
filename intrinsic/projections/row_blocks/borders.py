"""Where the groups of a random partition begin, without the permutation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from intrinsic import rng
from intrinsic.projections.kernels.draws import draws
from intrinsic.projections.onehot import group_sizes

_CHUNK = 1 << 22  # keys at a time
_MOST_BITS = 26
_SHARE = 256  # counts for each group, so that of few all keys are kept


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
    counts a border lies. Memory: 8 bytes for each of at most 2^26 counts, for each of 16 threads but at most a byte a
    weight, and 16 for each key kept.
    """
    ranks = group_sizes(dim, full_dim).cumsum()[:-1]  # of the first weight of groups 1, 2, ...
    bits = max(1, min(_MOST_BITS, full_dim.bit_length() - 2, (_SHARE * dim).bit_length()))
    compiled = draws("borders", full_dim)
    found = (_Counts if compiled is None else compiled.Counts)(seed, full_dim, bits)
    counts = found.total()
    of_rank = np.searchsorted(counts.cumsum(), ranks, side="right")  # which count each border lies in
    wanted = np.zeros(len(counts), dtype=bool)
    wanted[of_rank] = True
    key, weight = found.keys(wanted)
    order = np.argsort(key, kind="stable")
    before = np.cumsum(np.where(wanted, 0, counts))  # how many that were not kept come before those of a count
    place = order[ranks - before[of_rank]]
    return Borders(key[place], weight[place])


class _Counts:
    """As `borders_cpu.Counts`."""

    def __init__(self, seed: int, count: int, bits: int) -> None:
        self._seed, self._count, self._bits = seed, count, bits

    def total(self) -> np.ndarray:
        counts = np.zeros(1 << self._bits, dtype=np.int64)
        for _, keys in self._stream():
            counts += np.bincount(self._highest(keys), minlength=len(counts))
        return counts

    def keys(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept, weights = [], []
        for low, keys in self._stream():
            found = np.flatnonzero(wanted[self._highest(keys)])
            kept.append(keys[found])
            weights.append(low + found)
        return np.concatenate(kept), np.concatenate(weights)

    def _highest(self, keys: np.ndarray) -> np.ndarray:
        return (keys >> np.uint64(64 - self._bits)).astype(np.int64)

    def _stream(self) -> Iterator[tuple[int, np.ndarray]]:
        for low in range(0, self._count, _CHUNK):
            yield low, rng.keys(self._seed, min(_CHUNK, self._count - low), start=low)
