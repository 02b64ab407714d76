"""Random 64-bit keys, those of `intrinsic.rng.keys`, and the order of some of them."""

from typing import Any

import numpy as np

from intrinsic.projections.kernels.compile import inner
from intrinsic.projections.kernels.philox_vectors import LANES, blocks

TILE = 1024  # keys that are drawn at a time: they stay in the cache, and the signs of as many weights are one call
_ONE = np.uint64(1)
_FEW = 24  # keys that are sorted by insertion alone


@inner
def draw(seed: Any, lane: Any, first: Any, out: Any) -> None:
    """Words from counter `first` on, two in each number, into out: (count,) uint64, a multiple of 16."""
    counters, lanes = np.empty(LANES, np.uint64), np.full(LANES, lane, np.uint64)
    for i in range(0, len(out), 2 * LANES):
        for k in range(LANES):
            counters[k] = first + np.uint64(i // 2 + k)
        blocks(seed, counters, lanes, out[i : i + 2 * LANES])


@inner
def redraw(seed: Any, index: Any, out: Any) -> None:
    """Key number index[k] into out[k]: (count,) uint64."""
    counters, lanes = np.zeros(LANES, np.uint64), np.zeros(LANES, np.uint64)
    pairs = np.empty(2 * LANES, np.uint64)
    for i in range(0, len(index), LANES):
        count = min(LANES, len(index) - i)
        for k in range(count):
            counters[k] = np.uint64(index[i + k]) >> _ONE
        blocks(seed, counters, lanes, pairs)
        for k in range(count):
            out[i + k] = pairs[2 * k + (index[i + k] & 1)]


@inner
def sort(keys: Any, index: Any, prefix: int, counts: Any, sorted_: Any, order: Any) -> None:
    """Put the keys into `sorted_` in order, and their indices into `order`; equal keys stay in order.

    The keys have their first `prefix` bits in common. By the bits that follow each goes near its place, of which there
    are about as many as keys; insertion does the rest. counts: scratch, (2^(bits of the number of keys) + 1,).
    """
    size, digits = len(keys), 0
    while size > _FEW and 1 << digits < size:
        digits += 1
    if digits:
        shift, up, places = np.uint64(64 - digits), np.uint64(prefix), counts[: (1 << digits) + 1]
        for d in range(len(places)):
            places[d] = 0
        for k in range(size):
            places[np.int64((keys[k] << up) >> shift) + 1] += 1
        for d in range(1, len(places)):
            places[d] += places[d - 1]
        for k in range(size):
            digit = np.int64((keys[k] << up) >> shift)
            sorted_[places[digit]], order[places[digit]] = keys[k], index[k]
            places[digit] += 1
    else:
        for k in range(size):
            sorted_[k], order[k] = keys[k], index[k]
    for k in range(1, size):
        key, own, at = sorted_[k], order[k], k
        while at > 0 and sorted_[at - 1] > key:
            sorted_[at], order[at] = sorted_[at - 1], order[at - 1]
            at -= 1
        sorted_[at], order[at] = key, own
