"""A random partition into groups, by buckets of keys: a bucket that lies within one group needs no order."""

from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.kernels.buckets import bucket_counts, bucket_places, chunk_borders
from intrinsic.projections.kernels.compile import CHUNKS
from intrinsic.projections.kernels.draws import compare
from intrinsic.projections.kernels.keys import TILE, draw, redraw, sort
from intrinsic.projections.kernels.on_threads import on_threads
from intrinsic.projections.kernels.permutation_cpu import BUCKET
from intrinsic.projections.kernels.serial import serial

_BITS = 12, 18  # of the number of buckets: their counts stay in the cache
_SHARE = 8  # buckets for each group, so that few lie in several


def groups(seed: int, signs: int, dim: int, out: np.ndarray) -> None:
    """2 group(i) + (1 if the sign is +) into out (full_dim,), a signed integer array.

    Group j has the weights that stand at its places in the stable argsort of intrinsic.rng.keys(seed, full_dim), the
    first groups one more than the others; the signs are those of intrinsic.rng.signs(signs, full_dim). In a passage the
    keys are counted by their first bits, in a second each gets its group; a bucket that lies in several groups is
    sorted. Beside `out` that takes 4 bytes for each weight in such buckets.
    """
    key, count, (small, larger) = np.uint64(seed), len(out), divmod(len(out), dim)
    bits = max((_SHARE * dim).bit_length(), _BITS[0])
    bits = bits if bits <= _BITS[1] else max((count // BUCKET).bit_length(), _BITS[0])  # all will be sorted
    borders = chunk_borders(count, max(1, min(CHUNKS, count >> (bits + 6))))  # the counts are smaller than `out`
    counts = bucket_counts(seed, borders, bits)
    starts = np.append(0, counts.sum(0).cumsum())
    filled = np.flatnonzero(np.diff(starts))
    first, last = (_group(places, small, larger) for places in (starts[filled], starts[filled + 1] - 1))
    several = first != last
    shared = filled[several]
    table = np.zeros(1 << bits, np.int64)
    table[filled] = 2 * first
    table[shared] = -1 - np.arange(len(shared))
    places = bucket_places(counts[:, shared])
    ends = np.append(0, counts[:, shared].sum(0).cumsum())
    del counts
    index = np.empty(ends[-1], np.int32 if count < 2**31 else np.int64)

    def assign(k: int) -> None:
        _assign(key, np.uint64(signs), borders[k], borders[k + 1], bits, table, places[k], index, out)

    on_threads(assign, range(len(borders) - 1))
    group = first[several]  # of the first weight of a bucket; and how many follow until the next group begins
    left = np.minimum(group + 1, larger) + (group + 1) * small - starts[shared]
    cuts = np.linspace(0, len(shared), min(CHUNKS, len(shared)) + 1).astype(np.int64)

    def divide(k: int) -> None:
        part = slice(cuts[k], cuts[k + 1])
        _divide(key, ends[cuts[k] : cuts[k + 1] + 1], bits, group[part], left[part], small, larger, index, out)

    on_threads(divide, range(len(cuts) - 1))


def _group(place: np.ndarray, small: int, larger: int) -> np.ndarray:
    """The group of a place in the order: the first `larger` groups have one more than `small`."""
    return np.where(place < larger * (small + 1), place // (small + 1), (place - larger) // small)


@serial
def _assign(
    seed: Any, signs: Any, low: int, high: int, bits: int, table: Any, places: Any, index: Any, out: Any
) -> None:
    keys, words, shift = np.empty(TILE, np.uint64), np.empty(TILE // 64, np.uint64), np.uint64(64 - bits)
    for first in range(low, high, TILE):
        draw(seed, np.uint64(0), np.uint64(first // 2), keys)
        draw(signs, np.uint64(0), np.uint64(first // 128), words)
        part = out[first : min(first + TILE, high)]
        for k in range(len(part)):
            code = table[keys[k] >> shift]
            sign = np.int64((words[k >> 6] >> np.uint64(k & 63)) & np.uint64(1))
            if code >= 0:
                part[k] = code + sign
            else:
                part[k] = sign
                index[places[-1 - code]] = first + k
                places[-1 - code] += 1


@serial
def _divide(
    seed: Any, ends: Any, bits: int, groups: Any, lefts: Any, small: int, larger: int, index: Any, out: Any
) -> None:
    most = 0
    for b in range(len(groups)):
        most = max(most, ends[b + 1] - ends[b])
    keys, sorted_, order = np.empty(most, np.uint64), np.empty(most, np.uint64), np.empty(most, index.dtype)
    counts = np.empty(2 * most + 2, np.int32)
    for b in range(len(groups)):
        part, group, left = index[ends[b] : ends[b + 1]], groups[b], lefts[b]
        redraw(seed, part, keys[: len(part)])
        sort(keys[: len(part)], part, bits, counts, sorted_, order)
        for k in range(len(part)):
            if left == 0:
                group += 1
                left = small + (group < larger)
            out[order[k]] += 2 * group
            left -= 1


def prove() -> None:
    """Compare with numpy, for both types of `out`.

    Raises:
        ArithmeticError: if there is a difference.
    """
    seed, signs, count = (5 << 32) + 3, 7, 8197
    place = np.empty(count, np.int64)
    place[rng.permutation(seed, count)] = np.arange(count)
    for dim, dtype in ((33, np.int16), (4099, np.int32)):
        out = np.empty(count, dtype)
        groups(seed, signs, dim, out)
        compare("a partition", out, 2 * _group(place, *divmod(count, dim)) + (rng.signs(signs, count) > 0))
