"""S (R1 Z R2^T): of the sums of four rows of Z R2^T with all signs, a row of R1 takes one."""

from typing import Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels.compile import inner, kernel, write
from intrinsic.projections.kernels.four_rows import combine
from intrinsic.projections.kernels.pieces import address, numbers, place, put, size, stretch, target
from intrinsic.projections.kernels.vector import LANES, load, load_as, splat, store

_WIDTH = 64  # columns of a block: the tables of a block lie in the first-level cache
_BLOCKS = 8  # that are written together where rows are long, because memory is read in long stretches
_HEIGHT = 256  # rows of a band, for which tables are made anew
_SPARE = 64  # rows of which numbers in several pieces are put side by side, that they be as fast as others


@inner
def _column(block: int, width: int) -> int:
    """Where a block begins: the last one reaches back into the one before."""
    return min(block * _WIDTH, max(width - _WIDTH, 0))


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
    """Put the sums of each four rows of a block into its tables, 16 rows a group."""
    for group in range(groups):
        for i in range(0, _WIDTH, LANES):
            at = 4 * group * _WIDTH + i
            a, b = load(mixed, at), load(mixed, at + _WIDTH)
            c, d = load(mixed, at + 2 * _WIDTH), load(mixed, at + 3 * _WIDTH)
            combine(a, b, c, d, tables, 16 * group * _WIDTH + i, _WIDTH)


@inner
def _band(
    tables: Any,
    codes: Any,
    rows: Any,
    blocks: Any,
    width: int,
    sign: Any,
    places: Any,
    origins: Any,
    outs: Any,
) -> None:
    """Write some blocks of some rows of `width` numbers.

    The codes are (row, group), the places (row, 2) the addresses of what is written and added, or 0: see `address`.
    """
    part, buffer, other = np.empty(_WIDTH, tables.dtype), np.empty(_WIDTH, tables.dtype), np.empty(_WIDTH, tables.dtype)
    length, added = codes.shape[1] * 16 * _WIDTH, size(origins) > 0
    for row in range(rows[0], rows[1]):
        first, stop = row * width, min(row * width + width, len(sign))
        whole = places[row, 0] != 0 and (places[row, 1] != 0 or not added)
        same = added and places[row, 0] == places[row, 1]
        out, origin = numbers(places[row, 0], width, part), numbers(places[row, 1], width, part)
        for block in range(blocks[0], blocks[1]):
            column = _column(block, width)
            done = block * _WIDTH - column  # by the block before
            low, high = first + column, min(first + column + _WIDTH, stop)
            v0 = v1 = v2 = v3 = splat(part.dtype.type(0))
            for group in range(codes.shape[1]):
                at = (block - blocks[0]) * length + codes[row, group]
                v0, v1 = v0 + load(tables, at), v1 + load(tables, at + LANES)
                v2, v3 = v2 + load(tables, at + 2 * LANES), v3 + load(tables, at + 3 * LANES)
            if whole and high - low == _WIDTH and not (same and done):
                v0, v1 = v0 * load_as(sign, low, part), v1 * load_as(sign, low + LANES, part)
                v2, v3 = v2 * load_as(sign, low + 2 * LANES, part), v3 * load_as(sign, low + 3 * LANES, part)
                if added:
                    v0, v1 = v0 + load(origin, column), v1 + load(origin, column + LANES)
                    v2, v3 = v2 + load(origin, column + 2 * LANES), v3 + load(origin, column + 3 * LANES)
                store(out, column, v0)
                store(out, column + LANES, v1)
                store(out, column + 2 * LANES, v2)
                store(out, column + 3 * LANES, v3)
            elif low + done < high:
                store(part, 0, v0)
                store(part, LANES, v1)
                store(part, 2 * LANES, v2)
                store(part, 3 * LANES, v3)
                for i in range(done, high - low):
                    part[i] *= sign[low + i]
                rest, end = part[done:], column + high - low
                low, column = low + done, column + done
                if whole:
                    write(out[column:end], origin[column : end if added else 0], rest)
                else:
                    write(target(outs, low, high, other), stretch(origins, low, high, buffer), rest)
                    put(outs, low, high, other)


@inner
def _set_aside(places: Any, width: int, origins: Any, outs: Any, spare: Any, rows: Any) -> int:
    """Find places for numbers of whole rows that lie in several pieces; those of origins are copied there.

    Returns how many rows are still to be written from there to where they belong: theirs are in `rows`.
    """
    used, kept, added, count = 0, 0, size(origins) > 0, size(outs)
    for row in range(len(places)):
        low = row * width
        if low + width > count or used + 2 > len(spare):
            break
        if added and places[row, 1] == 0:
            stretch(origins, low, low + width, spare[used])
            places[row, 1] = place(spare[used])
            used += 1
        if places[row, 0] == 0:
            places[row, 0] = place(spare[used])
            rows[kept, 0], rows[kept, 1] = row, used
            used, kept = used + 1, kept + 1
    return kept


@kernel
def forward(z: Any, left: Any, right: Any, sign: Any, origins: Any, outs: Any) -> None:
    """outs = origins + P z, both in pieces."""
    (rows, count), (width, depth), scale = left.shape, right.shape, z.dtype.type(len(sign) ** -0.5)
    groups, blocks, bands = -(-count // 4), -(-width // _WIDTH), -(-rows // _HEIGHT)
    matrix = np.zeros((4 * groups, depth), z.dtype)
    for j in range(len(z)):
        matrix[j // depth, j % depth] = z[j] * scale
    codes, places = np.empty((rows, groups), np.int32), np.zeros((rows, 2), np.int64)
    mixed = np.empty((blocks, 4 * groups * _WIDTH), z.dtype)
    for block in prange(blocks):
        column = _column(block, width)
        _mix(matrix, right, column, min(column + _WIDTH, width), mixed[block])
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            low, high = row * width, min(row * width + width, len(sign))
            if low < high:
                places[row, 0] = address(outs, low, high, matrix)
                places[row, 1] = address(origins, low, high, matrix)
            for group in range(groups):
                code = 16 * group
                for k in range(4 * group, min(4 * group + 4, count)):
                    code += (left[row, k] > 0) << (k - 4 * group)
                codes[row, group] = code * _WIDTH
    spare, aside = np.empty((_SPARE, width), z.dtype), np.empty((_SPARE, 2), np.int64)
    kept = _set_aside(places, width, origins, outs, spare, aside)
    wide, length = _BLOCKS if blocks > 2 * _BLOCKS else 1, groups * 16 * _WIDTH
    tasks = -(-blocks // wide)
    for task in prange(bands * tasks):
        band, first = task // tasks, task % tasks * wide
        last = min(first + wide, blocks)
        tables = np.empty((last - first) * length, z.dtype)
        for block in range(first, last):
            _tables(mixed[block], groups, tables[(block - first) * length :])
        some = band * rows // bands, (band + 1) * rows // bands
        _band(tables, codes, some, (first, last), width, sign, places, origins, outs)
    for k in range(kept):
        low = aside[k, 0] * width
        put(outs, low, low + width, spare[aside[k, 1]])
