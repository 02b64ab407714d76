"""S (R1 Z R2^T) and R1^T G R2, four rows at a time: of their sums with all signs, a row of R1 takes one."""

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, launch, total, write
from intrinsic.projections.kernels.prefetch import touch
from intrinsic.projections.kernels.vector import LANES, load, load_as, splat, store

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker

_WIDTH = 64  # columns of a block: the tables of a block lie in the first-level cache
_BLOCKS = 8  # that are written together where rows are long, because memory is read in long stretches
_HEIGHT = 256  # rows of a band, for which tables are made anew
_GROUPS = 16  # of four rows, whose tables lie in the first-level cache together


def matvec(projection: "Kronecker", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    launch(_matvec, z.numpy(), *_matrix(projection), origin.numpy(), out.numpy())


def rmatvec(projection: "Kronecker", g: Tensor, out: Tensor) -> None:
    """out = P^T g."""
    launch(_rmatvec, g.numpy(), *_matrix(projection), out.numpy())


def _matrix(projection: "Kronecker") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return projection.left.numpy(), projection.right.numpy(), projection.sign.numpy()


@numba.njit(forceinline=True)
def _combine(a: Any, b: Any, c: Any, d: Any, table: Any, place: int, width: int) -> None:
    """Put +-a +-b +-c +-d at table[place + width k], where the bits of k say what is added."""
    s, t, u, v = a + b, a - b, c + d, c - d
    zero = a - a
    store(table, place, zero - s - u)
    store(table, place + width, t - u)
    store(table, place + 2 * width, zero - t - u)
    store(table, place + 3 * width, s - u)
    store(table, place + 4 * width, v - s)
    store(table, place + 5 * width, t + v)
    store(table, place + 6 * width, v - t)
    store(table, place + 7 * width, s + v)
    store(table, place + 8 * width, zero - s - v)
    store(table, place + 9 * width, t - v)
    store(table, place + 10 * width, zero - t - v)
    store(table, place + 11 * width, s - v)
    store(table, place + 12 * width, u - s)
    store(table, place + 13 * width, t + u)
    store(table, place + 14 * width, u - t)
    store(table, place + 15 * width, s + u)


@inner
def _mix(matrix: Any, right: Any, low: int, high: int, mixed: Any) -> None:
    """Put matrix @ right[low:high].T into mixed, rows of _WIDTH numbers."""
    count, depth = matrix.shape
    columns = np.zeros(depth * _WIDTH, matrix.dtype)
    for i in range(low, high):
        for k in range(depth):
            columns[k * _WIDTH + i - low] = right[i, k]
    for j in range(count):
        at = j * _WIDTH
        v0 = v1 = v2 = v3 = splat(matrix.dtype.type(0))
        for k in range(depth):
            number = splat(matrix[j, k])
            v0, v1 = v0 + number * load(columns, k * _WIDTH), v1 + number * load(columns, k * _WIDTH + LANES)
            v2 = v2 + number * load(columns, k * _WIDTH + 2 * LANES)
            v3 = v3 + number * load(columns, k * _WIDTH + 3 * LANES)
        store(mixed, at, v0)
        store(mixed, at + LANES, v1)
        store(mixed, at + 2 * LANES, v2)
        store(mixed, at + 3 * LANES, v3)


@inner
def _tables(mixed: Any, groups: int, tables: Any) -> None:
    for group in range(groups):
        for i in range(0, _WIDTH, LANES):
            at = 4 * group * _WIDTH + i
            a, b = load(mixed, at), load(mixed, at + _WIDTH)
            c, d = load(mixed, at + 2 * _WIDTH), load(mixed, at + 3 * _WIDTH)
            _combine(a, b, c, d, tables, 16 * group * _WIDTH + i, _WIDTH)


@inner
def _band(
    tables: Any, codes: Any, rows: Any, first: int, last: int, width: int, sign: Any, origin: Any, out: Any
) -> None:
    """Write blocks first ... last - 1 of some rows of `width` numbers, to which the codes (row, group) belong."""
    part, size = np.empty(_WIDTH, out.dtype), codes.shape[1] * 16 * _WIDTH
    for row in range(rows[0], rows[1]):
        stop = min(row * width + width, len(out))
        for block in range(first, last):
            low = row * width + block * _WIDTH
            v0 = v1 = v2 = v3 = splat(out.dtype.type(0))
            for group in range(codes.shape[1]):
                at = (block - first) * size + codes[row, group]
                v0, v1 = v0 + load(tables, at), v1 + load(tables, at + LANES)
                v2, v3 = v2 + load(tables, at + 2 * LANES), v3 + load(tables, at + 3 * LANES)
            if low + _WIDTH <= stop:
                v0, v1 = v0 * load_as(sign, low, out), v1 * load_as(sign, low + LANES, out)
                v2, v3 = v2 * load_as(sign, low + 2 * LANES, out), v3 * load_as(sign, low + 3 * LANES, out)
                if len(origin):
                    v0, v1 = v0 + load(origin, low), v1 + load(origin, low + LANES)
                    v2, v3 = v2 + load(origin, low + 2 * LANES), v3 + load(origin, low + 3 * LANES)
                store(out, low, v0)
                store(out, low + LANES, v1)
                store(out, low + 2 * LANES, v2)
                store(out, low + 3 * LANES, v3)
            elif low < stop:
                store(part, 0, v0)
                store(part, LANES, v1)
                store(part, 2 * LANES, v2)
                store(part, 3 * LANES, v3)
                signs, into = sign[low:stop], out[low:stop]
                for i in range(len(into)):
                    part[i] *= signs[i]
                write(into, origin[low : min(stop, len(origin))], part)


@kernel
def _matvec(z: Any, left: Any, right: Any, sign: Any, origin: Any, out: Any) -> None:
    (rows, count), (width, depth), scale = left.shape, right.shape, z.dtype.type(len(out) ** -0.5)
    groups, blocks, bands = -(-count // 4), -(-width // _WIDTH), -(-rows // _HEIGHT)
    matrix = np.zeros((4 * groups, depth), z.dtype)
    for j in range(len(z)):
        matrix[j // depth, j % depth] = z[j] * scale
    codes = np.empty((rows, groups), np.int32)
    mixed = np.empty((blocks, 4 * groups * _WIDTH), z.dtype)
    for block in prange(blocks):
        _mix(matrix, right, block * _WIDTH, min(block * _WIDTH + _WIDTH, width), mixed[block])
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            for group in range(groups):
                code = 16 * group
                for k in range(4 * group, min(4 * group + 4, count)):
                    code += (left[row, k] > 0) << (k - 4 * group)
                codes[row, group] = code * _WIDTH
    size = groups * 16 * _WIDTH
    wide = _BLOCKS if blocks > 2 * _BLOCKS else 1
    tasks = -(-blocks // wide)
    for task in prange(bands * tasks):
        band, first = task // tasks, task % tasks * wide
        last = min(first + wide, blocks)
        tables = np.empty((last - first) * size, z.dtype)
        for block in range(first, last):
            _tables(mixed[block], groups, tables[(block - first) * size :])
        part = band * rows // bands, (band + 1) * rows // bands
        _band(tables, codes, part, first, last, width, sign, origin, out)


@inner
def _rows(g: Any, sign: Any, low: int, high: int, column: int, rows: int, width: int, tables: Any) -> None:
    """Put the sums of each four rows of S G, 16 columns from `column` on, into the tables."""
    part = np.empty(4 * LANES, g.dtype)
    for group in range(low, high):
        at = 4 * group * width + column
        ahead = at + 4 * _GROUPS * width
        for row in range(4):
            touch(g, ahead + row * width)
            if column % _WIDTH == 0:
                touch(sign, ahead + row * width)
        if at + 3 * width + LANES <= len(g) and 4 * group + 4 <= rows:
            a, b = load(g, at) * load_as(sign, at, g), load(g, at + width) * load_as(sign, at + width, g)
            at += 2 * width
            c, d = load(g, at) * load_as(sign, at, g), load(g, at + width) * load_as(sign, at + width, g)
        else:
            for row in range(4):
                for i in range(LANES):
                    one = at + row * width + i
                    inside = 4 * group + row < rows and one < len(g)
                    part[row * LANES + i] = g[one] * sign[one] if inside else 0
            a, b, c, d = load(part, 0), load(part, LANES), load(part, 2 * LANES), load(part, 3 * LANES)
        _combine(a, b, c, d, tables, (group - low) * 16 * LANES, LANES)


@inner
def _sum(tables: Any, codes: Any, sums: Any, place: int) -> None:
    """Add to 16 columns of four rows of sums, from `place` on, what the codes (groups, 4) choose from the tables."""
    v0, v1 = load(sums, place), load(sums, place + _WIDTH)
    v2, v3 = load(sums, place + 2 * _WIDTH), load(sums, place + 3 * _WIDTH)
    for group in range(len(codes)):
        v0, v1 = v0 + load(tables, codes[group, 0]), v1 + load(tables, codes[group, 1])
        v2, v3 = v2 + load(tables, codes[group, 2]), v3 + load(tables, codes[group, 3])
    store(sums, place, v0)
    store(sums, place + _WIDTH, v1)
    store(sums, place + 2 * _WIDTH, v2)
    store(sums, place + 3 * _WIDTH, v3)


@inner
def _gather(sums: Any, right: Any, low: int, high: int, out: Any) -> None:
    """Add sums @ right[low:high] to out, whose rows have a multiple of 32 numbers."""
    count, depth = out.shape
    columns = np.zeros(_WIDTH * depth, sums.dtype)
    for i in range(low, high):
        for k in range(right.shape[1]):
            columns[(i - low) * depth + k] = right[i, k]
    flat = out.reshape(-1)
    for j in range(0, count, 2):
        for k in range(0, depth, 2 * LANES):
            at = j * depth + k
            v0, v1, v2, v3 = (
                load(flat, at),
                load(flat, at + LANES),
                load(flat, at + depth),
                load(flat, at + depth + LANES),
            )
            for i in range(high - low):
                x, y = splat(sums[j * _WIDTH + i]), splat(sums[j * _WIDTH + _WIDTH + i])
                a, b = load(columns, i * depth + k), load(columns, i * depth + k + LANES)
                v0, v1, v2, v3 = v0 + x * a, v1 + x * b, v2 + y * a, v3 + y * b
            store(flat, at, v0)
            store(flat, at + LANES, v1)
            store(flat, at + depth, v2)
            store(flat, at + depth + LANES, v3)


@kernel
def _rmatvec(g: Any, left: Any, right: Any, sign: Any, out: Any) -> None:
    (rows, count), (width, depth) = left.shape, right.shape
    fours, groups, padded = -(-count // 4), -(-rows // 4), -(-depth // 32) * 32
    blocks, bands = -(-width // _WIDTH), -(-groups // _GROUPS)
    chunks = min(blocks, CHUNKS)
    codes = np.empty((fours, groups, 4), np.int32)
    for four in prange(fours):
        for group in range(groups):
            for j in range(4):
                code = 16 * (group % _GROUPS)
                for row in range(4 * group, min(4 * group + 4, rows)):
                    if 4 * four + j < count:
                        code += (left[row, 4 * four + j] > 0) << (row - 4 * group)
                codes[four, group, j] = code * LANES
    totals = np.zeros((chunks, 4 * fours, padded), g.dtype)
    for chunk in prange(chunks):
        tables = np.empty(_GROUPS * 16 * LANES, g.dtype)
        sums = np.empty(4 * fours * _WIDTH, g.dtype)
        for block in range(chunk * blocks // chunks, (chunk + 1) * blocks // chunks):
            sums[:] = 0
            for band in range(bands):
                low, high = band * _GROUPS, min(band * _GROUPS + _GROUPS, groups)
                for column in range(0, min(_WIDTH, width - block * _WIDTH), LANES):
                    _rows(g, sign, low, high, block * _WIDTH + column, rows, width, tables)
                    for four in range(fours):
                        _sum(tables, codes[four, low:high], sums, 4 * four * _WIDTH + column)
            _gather(sums, right, block * _WIDTH, min(block * _WIDTH + _WIDTH, width), totals[chunk])
    sums = np.empty(4 * fours * padded, g.dtype)
    total(totals.reshape(chunks, -1), g.dtype.type(len(g) ** -0.5), sums)
    for j in range(len(out)):
        out[j] = sums[j // depth * padded + j % depth]
