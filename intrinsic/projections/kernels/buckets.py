"""Keys in buckets by their first bits: how many there are, and where each chunk's begin."""

from typing import Any

import numpy as np

from intrinsic.projections.kernels.keys import TILE, draw
from intrinsic.projections.kernels.on_threads import on_threads
from intrinsic.projections.kernels.serial import serial


def chunk_borders(count: int, chunks: int) -> list[int]:
    """Where each chunk of `count` keys begins, a multiple of TILE, and the last one ends."""
    step = -(-count // (chunks * TILE)) * TILE
    return [min(count, k * step) for k in range(chunks + 1)]


def bucket_counts(seed: int, borders: list[int], bits: int, first: int = 0, last: int | None = None) -> np.ndarray:
    """The number of keys of each chunk in each of 2^bits buckets, from `first` to before `last`: (chunks, buckets)."""
    counts = np.zeros((len(borders) - 1, (1 << bits if last is None else last) - first), np.int64)

    def count(k: int) -> None:
        _count(np.uint64(seed), borders[k], borders[k + 1], bits, np.uint64(first), counts[k])

    on_threads(count, range(len(counts)))
    return counts


def bucket_places(counts: np.ndarray) -> np.ndarray:
    """Where the keys of a chunk begin if all are put bucket by bucket, chunk by chunk: (chunks, buckets) int64."""
    return np.ascontiguousarray((counts.T.cumsum().reshape(counts.T.shape) - counts.T).T)


@serial
def _count(seed: Any, low: int, high: int, bits: int, start: Any, counts: Any) -> None:
    keys, shift, width = np.empty(TILE, np.uint64), np.uint64(64 - bits), np.uint64(len(counts))
    for first in range(low, high, TILE):
        draw(seed, np.uint64(0), np.uint64(first // 2), keys)
        for k in range(min(TILE, high - first)):
            bucket = (keys[k] >> shift) - start  # of those before the first, more than there are
            if bucket < width:
                counts[bucket] += 1
