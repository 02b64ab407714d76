"""Rademacher signs, eight to a byte: a byte looks up the sum of eight numbers under its signs."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange
from torch import Tensor
from torch.nn.functional import pad

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, launch, total, write
from intrinsic.projections.kernels.philox import words

if TYPE_CHECKING:
    from intrinsic.projections.dense import Dense

_HEIGHT = 128  # rows of packed signs in a tile: 1024 weights, small enough for the cache


def matvec(projection: "Dense", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    launch(_matvec, pad(z, (0, -projection.dim % 8)).numpy(), *_matrix(projection), origin.numpy(), out.numpy())


def rmatvec(projection: "Dense", g: Tensor, out: Tensor) -> None:
    """out = P^T g."""
    padded = g.new_empty(-(-projection.dim // 8) * 8)
    launch(_rmatvec, g.numpy(), *_matrix(projection), padded.numpy())
    out.copy_(padded[: projection.dim])


def _matrix(projection: "Dense") -> tuple[np.ndarray, np.uint64]:
    """The packed signs, or none, and the seed to draw them from."""
    packed = projection.packed.numpy() if projection.nbytes else np.empty((0, 0), np.uint8)
    return packed, np.uint64(projection.seed)


@inner
def _tile(packed: Any, seed: Any, low: int, high: int, width: int, scratch: Any) -> Any:
    """Rows low ... high - 1 of the packed signs; low is a multiple of 16, four words."""
    if len(packed):
        return packed[low:high]
    drawn = np.empty((4, width), np.uint32)
    for row in range(0, high - low, 16):
        words(seed, (low + row) // 16, drawn)
        for byte in range(16):
            target, word, shift = scratch[row + byte], drawn[byte // 4], np.uint32(byte % 4 * 8)
            for j in range(width):
                target[j] = np.uint8((word[j] >> shift) & np.uint32(255))
    return scratch[: high - low]


@inner
def _sums(numbers: Any, scale: Any, table: Any) -> None:
    """table[byte] = the sum of +-scale numbers[k], + where bit k of the byte is set: (8,) -> (256,)."""
    whole = numbers[0]
    for k in range(1, 8):
        whole += numbers[k]
    table[0] = -whole * scale
    for k in range(8):
        size, twice = 1 << k, 2 * scale * numbers[k]
        for i in range(size):
            table[size + i] = table[i] + twice


@inner
def _transpose(x: Any) -> Any:
    """The 8 x 8 bit matrix whose row k is byte k of x, transposed (Warren, Hacker's Delight, section 7-3)."""
    t = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    x = x ^ t ^ (t << np.uint64(7))
    t = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    x = x ^ t ^ (t << np.uint64(14))
    t = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return x ^ t ^ (t << np.uint64(28))


@kernel
def _matvec(z: Any, packed: Any, seed: Any, origin: Any, out: Any) -> None:
    rows, groups = -(-len(out) // 8), len(z) // 8
    tables, scale = np.empty((groups, 256), z.dtype), z.dtype.type(len(out) ** -0.5)
    for k in range(groups):
        _sums(z[8 * k : 8 * k + 8], scale, tables[k])
    for tile in prange(-(-rows // _HEIGHT)):
        low, high = tile * _HEIGHT, min(tile * _HEIGHT + _HEIGHT, rows)
        scratch = np.empty((0 if len(packed) else _HEIGHT, len(z)), np.uint8)
        columns = _tile(packed, seed, low, high, len(z), scratch).view(np.uint64)  # eight columns to a word
        first, second = np.empty(high - low, np.uint64), np.empty(high - low, np.uint64)
        offset = np.zeros(8 * (high - low), z.dtype)
        for k in range(0, groups - 1, 2):
            for row in range(high - low):
                first[row], second[row] = _transpose(columns[row, k]), _transpose(columns[row, k + 1])
            one, other, table, after = first.view(np.uint8), second.view(np.uint8), tables[k], tables[k + 1]
            for i in range(len(offset)):
                offset[i] += table[one[i]] + after[other[i]]
        if groups % 2:
            for row in range(high - low):
                first[row] = _transpose(columns[row, groups - 1])
            one, table = first.view(np.uint8), tables[groups - 1]
            for i in range(len(offset)):
                offset[i] += table[one[i]]
        stop = min(8 * high, len(out))
        write(out[8 * low : stop], origin[8 * low : stop], offset)


@kernel
def _rmatvec(g: Any, packed: Any, seed: Any, out: Any) -> None:
    rows, width = -(-len(g) // 8), len(out)
    tiles, scale = -(-rows // _HEIGHT), g.dtype.type(len(g) ** -0.5)
    totals = np.zeros((min(tiles, CHUNKS), width), g.dtype)
    for chunk in prange(min(tiles, CHUNKS)):
        parts = min(tiles, CHUNKS)
        sum_, numbers, tables = totals[chunk], np.zeros(32, g.dtype), np.empty((4, 256), g.dtype)
        scratch = np.empty((0 if len(packed) else _HEIGHT, width), np.uint8)
        t0, t1, t2, t3 = tables[0], tables[1], tables[2], tables[3]
        for tile in range(chunk * tiles // parts, (chunk + 1) * tiles // parts):
            low, high = tile * _HEIGHT, min(tile * _HEIGHT + _HEIGHT, rows)
            signs = _tile(packed, seed, low, high, width, scratch)
            for row in range(0, high - low, 4):
                part = g[8 * (low + row) : min(8 * (low + row) + 32, len(g))]
                numbers[: len(part)] = part
                numbers[len(part) :] = 0  # where the matrix has ended, which row is read does not matter
                last = high - low - 1
                for k in range(4):
                    _sums(numbers[8 * k : 8 * k + 8], scale, tables[k])
                b0, b1, b2, b3 = (
                    signs[row],
                    signs[min(row + 1, last)],
                    signs[min(row + 2, last)],
                    signs[min(row + 3, last)],
                )
                for j in range(width):
                    sum_[j] += (t0[b0[j]] + t1[b1[j]]) + (t2[b2[j]] + t3[b3[j]])
    total(totals, g.dtype.type(1), out)
