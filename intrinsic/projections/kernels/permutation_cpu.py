"""The order of random keys, by buckets: the keys are drawn three times, and never stored."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.kernels.buckets import bucket_counts, bucket_places, chunk_borders
from intrinsic.projections.kernels.compile import CHUNKS
from intrinsic.projections.kernels.draws import compare
from intrinsic.projections.kernels.keys import TILE, draw, redraw, sort
from intrinsic.projections.kernels.on_threads import on_threads
from intrinsic.projections.kernels.serial import serial

BUCKET = 1 << 13  # keys in a bucket: they are sorted within the cache
_PARTS = 16


def permutation(seed: int, out: np.ndarray) -> None:
    """The stable argsort of intrinsic.rng.keys(seed, len(out)) into out, a signed integer array, and little besides."""
    bits = _bits(len(out))
    _part(seed, len(out), bits, 0, 1 << bits, out)


def permutation_parts(seed: int, count: int, dtype: type[np.signedinteger]) -> Iterator[np.ndarray]:
    """The same of `count` keys in sixteenths, one after the other: for each all keys are drawn anew."""
    bits = _bits(count)
    for first, last in pairwise(_cuts(1 << bits, _PARTS)):
        yield _part(seed, count, bits, first, last, np.empty(0, dtype))


def _bits(count: int) -> int:
    """Of the number of buckets."""
    return max(1, (count // BUCKET).bit_length())


def _cuts(count: int, parts: int) -> np.ndarray:
    return np.linspace(0, count, min(parts, count) + 1).astype(np.int64)


def _part(seed: int, count: int, bits: int, first: int, last: int, out: np.ndarray) -> np.ndarray:
    """The order of the keys in some buckets; into `out` if that has room for all."""
    borders = chunk_borders(count, CHUNKS)
    counts = bucket_counts(seed, borders, bits, first, last)
    places = bucket_places(counts)
    starts = np.append(places[0], counts.sum())
    out = out if len(out) == starts[-1] else np.empty(starts[-1], out.dtype)
    del counts

    def distribute(k: int) -> None:
        _distribute(np.uint64(seed), borders[k], borders[k + 1], bits, np.uint64(first), places[k], out)

    on_threads(distribute, range(CHUNKS))
    cuts = _cuts(last - first, CHUNKS)

    def order(k: int) -> None:
        _order(np.uint64(seed), starts[cuts[k] : cuts[k + 1] + 1], bits, out)

    on_threads(order, range(len(cuts) - 1))
    return out


@serial
def _distribute(seed: Any, low: int, high: int, bits: int, start: Any, places: Any, out: Any) -> None:
    keys, shift, width = np.empty(TILE, np.uint64), np.uint64(64 - bits), np.uint64(len(places))
    for first in range(low, high, TILE):
        draw(seed, np.uint64(0), np.uint64(first // 2), keys)
        for k in range(min(TILE, high - first)):
            bucket = (keys[k] >> shift) - start  # of those before the first, more than there are
            if bucket < width:
                out[places[bucket]] = first + k
                places[bucket] += 1


@serial
def _order(seed: Any, starts: Any, bits: int, out: Any) -> None:
    most = 0
    for b in range(len(starts) - 1):
        most = max(most, starts[b + 1] - starts[b])
    keys, sorted_, order = np.empty(most, np.uint64), np.empty(most, np.uint64), np.empty(most, out.dtype)
    counts = np.empty(2 * most + 2, np.int32)
    for b in range(len(starts) - 1):
        index = out[starts[b] : starts[b + 1]]
        redraw(seed, index, keys[: len(index)])
        sort(keys[: len(index)], index, bits, counts, sorted_, order)
        for k in range(len(index)):
            index[k] = order[k]


def prove() -> None:
    """Compare with numpy, in several buckets.

    Raises:
        ArithmeticError: if there is a difference.
    """
    seed, count = (5 << 32) + 3, BUCKET + 4099
    out = np.empty(count, np.int32)
    permutation(seed, out)
    compare("a permutation", out, rng.permutation(seed, count))
    compare("a permutation in parts", np.concatenate(list(permutation_parts(seed, count, np.int32))), out)
