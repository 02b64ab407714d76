"""Rademacher signs, 32 to a word: with b the bits, sum of s x = 2 sum of b x - sum of x."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels import lookup
from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel
from intrinsic.projections.kernels.masked import looks_up, sum_columns, sum_row, sum_rows
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.philox import words
from intrinsic.projections.kernels.pieces import put, stretch, target

if TYPE_CHECKING:
    from intrinsic.projections.dense import Dense

_HEIGHT = (
    32  # rows of words in a tile: 1024 weights; a multiple of 4, which one counter of the stream and one pass serve
)


def others(projection: "Dense") -> list["Dense"]:
    """The same P, its signs drawn and not stored: for the proof."""
    drawn = copy.copy(projection)
    drawn.nbytes = 0
    return [drawn]


def _fixed(projection: "Dense") -> tuple[Any, ...]:
    """The number of weights, the packed signs, or none, and the seed to draw them from."""
    packed = projection.packed.numpy().view(np.uint32) if projection.nbytes else np.empty((0, 0), np.uint32)
    return projection.full_dim, packed, np.uint64(projection.seed)


def _displace(z: np.ndarray, *arguments: Any) -> None:
    _matvec(z, lookup.tables(z) if looks_up(z.dtype) else z, *arguments)


@inner
def _tile(packed: Any, seed: Any, low: int, high: int, scratch: Any) -> Any:
    """Rows low ... high - 1 of the packed signs; low is a multiple of 4."""
    if len(packed):
        return packed[low:high]
    for row in range(0, high - low, 4):
        words(seed, (low + row) // 4, scratch[row : row + 4])
    return scratch[: high - low]


@kernel
def _matvec(z: Any, numbers: Any, full_dim: int, packed: Any, seed: Any, origins: Any, outs: Any) -> None:
    rows, scale, whole = -(-full_dim // 32), z.dtype.type(full_dim**-0.5), z.dtype.type(0)
    for j in range(len(z)):
        whole += z[j]
    for tile in prange(-(-rows // _HEIGHT)):
        low, high = tile * _HEIGHT, min(tile * _HEIGHT + _HEIGHT, rows)
        scratch = np.empty((0 if len(packed) else _HEIGHT, -(-len(z) // 32) * 32), np.uint32)
        signs, sums = _tile(packed, seed, low, high, scratch), np.empty(32 * _HEIGHT, z.dtype)
        together = (high - low) // 4 * 4
        for row in range(0, together, 4):
            sum_rows(signs, row, numbers, sums[32 * row :])
        for row in range(together, high - low):
            sum_row(signs, row, numbers, sums[32 * row :])
        stop, buffer, other = min(32 * high, full_dim), np.empty(32 * _HEIGHT, z.dtype), np.empty(32 * _HEIGHT, z.dtype)
        start, part = stretch(origins, 32 * low, stop, buffer), target(outs, 32 * low, stop, other)
        for i in range(len(part)):
            part[i] = start[i] + scale * (2 * sums[i] - whole)
        put(outs, 32 * low, stop, other)


@kernel
def _rmatvec(pieces: Any, full_dim: int, packed: Any, seed: Any, out: Any) -> None:
    rows, width, scale = -(-full_dim // 32), -(-len(out) // 32) * 32, out.dtype.type(full_dim**-0.5)
    tiles = -(-rows // _HEIGHT)
    chunks = min(tiles, CHUNKS)
    totals, wholes = np.zeros((chunks, width), out.dtype), np.zeros(chunks, out.dtype)
    for chunk in prange(chunks):
        buffer, whole = np.empty(32 * _HEIGHT, out.dtype), out.dtype.type(0)
        scratch = np.empty((0 if len(packed) else _HEIGHT, width), np.uint32)
        for tile in range(chunk * tiles // chunks, (chunk + 1) * tiles // chunks):
            low, high = tile * _HEIGHT, min(tile * _HEIGHT + _HEIGHT, rows)
            signs = _tile(packed, seed, low, high, scratch)
            g = stretch(pieces, 32 * low, 32 * high, buffer)  # zero for bits beyond the last weight
            for i in range(len(g)):
                whole += g[i]
            for row in range(high - low):
                sum_columns(signs, row, g[32 * row : 32 * row + 32], totals[chunk])
        wholes[chunk] = whole
    for j in range(len(out)):
        sum_ = out.dtype.type(0)
        for chunk in range(chunks):
            sum_ += wholes[chunk] - 2 * totals[chunk, j]
        out[j] = sum_ * scale


matvec_pieces, rmatvec_pieces = Matvec(_displace, _fixed), Rmatvec(_rmatvec, _fixed)
