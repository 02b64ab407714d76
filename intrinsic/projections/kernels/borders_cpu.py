"""Where the groups of a random partition begin, and which group some weights are in: see `row_blocks.borders`."""

from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.kernels.buckets import bucket_counts, chunk_borders
from intrinsic.projections.kernels.draws import compare
from intrinsic.projections.kernels.keys import TILE, draw
from intrinsic.projections.kernels.on_threads import on_threads
from intrinsic.projections.kernels.serial import serial

_CHUNKS = 16
_BITS = 8, 20  # of a table of borders, which stays in the cache


class Counts:
    """How many of the first `count` keys have each first `bits`."""

    def __init__(self, seed: int, count: int, bits: int) -> None:
        self._seed, self._bits = seed, bits
        self._borders = chunk_borders(count, max(1, min(_CHUNKS, count >> (bits + 3))))
        self._counts = bucket_counts(seed, self._borders, bits)

    def total(self) -> np.ndarray:
        """(2^bits,) int64."""
        return self._counts.sum(0)

    def keys(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keys whose first bits are wanted (2^bits,), and their numbers, which rise."""
        ends = np.append(0, self._counts[:, wanted].sum(1).cumsum())
        keys, weights = np.empty(ends[-1], np.uint64), np.empty(ends[-1], np.int64)

        def collect(k: int) -> None:
            part = slice(ends[k], ends[k + 1])
            bounds = self._borders[k], self._borders[k + 1]
            _collect(np.uint64(self._seed), *bounds, self._bits, wanted, keys[part], weights[part])

        on_threads(collect, range(len(self._counts)))
        return keys, weights


def codes(seed: int, signs: int, keys: np.ndarray, weights: np.ndarray, low: int, out: np.ndarray) -> None:
    """2 group + (1 if the sign is +) of the weights from `low` on into `out`, a signed integer array.

    keys, weights: where the groups 1, 2, ... begin, in order.
    """
    bits = min(max(len(keys).bit_length() + 1, _BITS[0]), _BITS[1])
    firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    table = np.searchsorted(keys, firsts, side="left")
    start = low - low % TILE
    borders = chunk_borders(low + len(out) - start, 4 * _CHUNKS)

    def assign(k: int) -> None:
        bounds = max(low, start + borders[k]), start + borders[k + 1]
        if bounds[0] < bounds[1]:
            part = out[bounds[0] - low : bounds[1] - low]
            _assign(np.uint64(seed), np.uint64(signs), bounds[0], bits, table, keys, weights, part)

    on_threads(assign, range(len(borders) - 1))


@serial
def _collect(seed: Any, low: int, high: int, bits: int, wanted: Any, out: Any, weights: Any) -> None:
    keys, shift, found = np.empty(TILE, np.uint64), np.uint64(64 - bits), 0
    for first in range(low, high, TILE):
        draw(seed, np.uint64(0), np.uint64(first // 2), keys)
        for k in range(min(TILE, high - first)):
            if wanted[keys[k] >> shift]:
                out[found], weights[found] = keys[k], first + k
                found += 1


@serial
def _assign(seed: Any, signs: Any, low: int, bits: int, table: Any, borders: Any, weights: Any, out: Any) -> None:
    keys, words, shift = np.empty(TILE, np.uint64), np.empty(TILE // 64, np.uint64), np.uint64(64 - bits)
    high = low + len(out)
    for first in range(low - low % TILE, high, TILE):
        draw(seed, np.uint64(0), np.uint64(first // 2), keys)
        draw(signs, np.uint64(0), np.uint64(first // 128), words)
        for k in range(max(low - first, 0), min(TILE, high - first)):
            key, group = keys[k], table[keys[k] >> shift]
            while group < len(borders) and (
                borders[group] < key or (borders[group] == key and weights[group] <= first + k)
            ):
                group += 1
            out[first + k - low] = 2 * group + np.int64((words[k >> 6] >> np.uint64(k & 63)) & np.uint64(1))


def prove() -> None:
    """Compare with numpy.

    Raises:
        ArithmeticError: if there is a difference.
    """
    seed, signs, count, bits = (5 << 32) + 3, 7, 70_003, 10
    all_ = rng.keys(seed, count)
    firsts = (all_ >> np.uint64(64 - bits)).astype(np.int64)
    found, wanted = Counts(seed, count, bits), np.arange(1 << bits) % 3 == 0
    compare("a count of keys", found.total(), np.bincount(firsts, minlength=1 << bits))
    keys, weights = found.keys(wanted)
    compare("a key's number", weights, np.flatnonzero(wanted[firsts]))
    compare("a key", keys, all_[weights])
    some = np.sort(np.argsort(all_)[5:-1:700])  # numbers of weights; of two with one key the second begins a group
    order = np.argsort(all_[some])
    some = some[order]
    low, own = 1501, np.repeat(all_[some], 2)
    begins = np.stack([some, some + 1], 1).reshape(-1)
    place = np.searchsorted(own, all_, side="left") + (np.isin(np.arange(count), some)).astype(np.int64)
    for dtype in (np.int16, np.int32):
        out = np.empty(count - low, dtype)
        codes(seed, signs, own, begins, low, out)
        compare("a group", out, (2 * place + (rng.signs(signs, count) > 0))[low:])
