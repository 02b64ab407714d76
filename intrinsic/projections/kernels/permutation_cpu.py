"""The order of random keys, by buckets: the keys are drawn three times, and never stored."""

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


def permutation(seed: int, out: np.ndarray) -> None:
    """The stable argsort of intrinsic.rng.keys(seed, len(out)) into out, a signed integer array, and little besides."""
    count = len(out)
    bits = max(1, (count // BUCKET).bit_length())
    borders = chunk_borders(count, CHUNKS)
    places = bucket_places(bucket_counts(seed, borders, bits))
    starts = np.append(places[0], count)

    def distribute(k: int) -> None:
        _distribute(np.uint64(seed), borders[k], borders[k + 1], bits, places[k], out)

    on_threads(distribute, range(CHUNKS))
    parts = np.linspace(0, 1 << bits, min(CHUNKS, 1 << bits) + 1).astype(np.int64)

    def order(k: int) -> None:
        _order(np.uint64(seed), starts[parts[k] : parts[k + 1] + 1], bits, out)

    on_threads(order, range(len(parts) - 1))


@serial
def _distribute(seed: Any, low: int, high: int, bits: int, places: Any, out: Any) -> None:
    keys, shift = np.empty(TILE, np.uint64), np.uint64(64 - bits)
    for first in range(low, high, TILE):
        draw(seed, np.uint64(0), np.uint64(first // 2), keys)
        for k in range(min(TILE, high - first)):
            bucket = keys[k] >> shift
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
