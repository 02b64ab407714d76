"""Random words of many lanes, one for each column."""

from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.kernels.compile import CHUNKS
from intrinsic.projections.kernels.draws import compare
from intrinsic.projections.kernels.on_threads import on_threads
from intrinsic.projections.kernels.philox_vectors import LANES, blocks
from intrinsic.projections.kernels.serial import serial


def lanes(seed: int, dim: int, start: int, out: np.ndarray) -> None:
    """Words number `start` ... of lanes 0 ... dim - 1 into the first columns of out: (words, dim or more) uint32."""
    first, last = start // 4, -(-(start + len(out)) // 4)
    borders = np.linspace(first, last, min(CHUNKS, last - first) + 1).astype(np.int64)
    on_threads(lambda k: _draw(np.uint64(seed), dim, start, borders[k], borders[k + 1], out), range(len(borders) - 1))


@serial
def _draw(seed: Any, dim: int, start: int, first: int, last: int, out: Any) -> None:
    counters, lanes, pairs = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64), np.empty(2 * LANES, np.uint64)
    low = np.uint64(0xFFFFFFFF)
    for counter in range(first, last):
        for k in range(LANES):
            counters[k] = np.uint64(counter)
        row = 4 * counter - start
        for lane in range(0, dim, LANES):
            for k in range(LANES):
                lanes[k] = np.uint64(lane + k)
            blocks(seed, counters, lanes, pairs)
            for word in range(max(0, -row), min(4, len(out) - row)):
                shift = np.uint64(32 * (word & 1))
                for k in range(min(LANES, dim - lane)):
                    out[row + word, lane + k] = np.uint32((pairs[2 * k + (word >> 1)] >> shift) & low)


def prove() -> None:
    """Compare with numpy.

    Raises:
        ArithmeticError: if there is a difference.
    """
    seed, dim, start, count = (5 << 32) + 3, 33, 6, 19
    out = np.zeros((count, 64), np.uint32)
    lanes(seed, dim, start, out)
    columns = [rng.bits(seed, count, lane=j, start=start) if j < dim else np.zeros(count, np.uint32) for j in range(64)]
    compare("a word", out, np.stack(columns, axis=1))
