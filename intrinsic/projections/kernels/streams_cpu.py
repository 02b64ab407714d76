"""Streams of intrinsic.rng: words, signs and normal numbers of one lane."""

from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.kernels.draws import compare
from intrinsic.projections.kernels.keys import draw
from intrinsic.projections.kernels.on_threads import on_threads
from intrinsic.projections.kernels.serial import serial

_PART = 1 << 20  # signs that one thread draws at a time


def signs(seed: int, count: int) -> np.ndarray:
    """Those of intrinsic.rng.signs, a part on each thread: (count,) int8."""
    out = np.empty(count, np.int8)

    def fill(low: int) -> None:
        part = out[low : low + _PART]
        write_signs(words(seed, -(-len(part) // 32), start=low // 32), part)

    on_threads(fill, range(0, count, _PART))
    return out


def normals(seed: int, count: int, *, lane: int = 0, start: int = 0) -> np.ndarray:
    """Those of intrinsic.rng.normals, from a multiple of 4 on, by this thread alone: (count,) float64."""
    from scipy.special import ndtri  # slow to import

    return ndtri(rng.midpoints(words(seed, count, lane=lane, start=start)))


def words(seed: int, count: int, *, lane: int = 0, start: int = 0) -> np.ndarray:
    """Those of intrinsic.rng.bits, from a multiple of 4 on, by this thread alone: (count,) uint32."""
    out = np.empty(-(-count // 32) * 16, np.uint64)
    _draw(np.uint64(seed), np.uint64(lane), np.uint64(start // 4), out)
    return out.view(np.uint32)[:count]


@serial
def _draw(seed: Any, lane: Any, first: Any, out: Any) -> None:
    draw(seed, lane, first, out)


@serial
def write_signs(words: Any, out: Any) -> None:
    """The signs that the bits of words are, lowest bit first: (count / 32,) uint32, (count,) int8."""
    for i in range(0, len(out), 32):
        word, part = words[i // 32], out[i : min(i + 32, len(out))]
        for k in range(len(part)):
            part[k] = 2 * np.int8((word >> np.uint32(k)) & np.uint32(1)) - 1


def prove() -> None:
    """Compare with numpy.

    Raises:
        ArithmeticError: if there is a difference.
    """
    seed, count = (5 << 32) + 3, 4133
    compare("a sign", signs(seed, count), rng.signs(seed, count))
    stream = {"lane": (1 << 40) + 5, "start": 12}
    compare("a normal number", normals(seed, count, **stream), rng.normals(seed, count, **stream))
