"""R1^T (S G) R2: of the sums of four rows of S G with all signs, a column of R1 takes one."""

from typing import Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, total
from intrinsic.projections.kernels.four_rows import combine
from intrinsic.projections.kernels.pieces import address, numbers, place, size, stretch
from intrinsic.projections.kernels.prefetch import touch
from intrinsic.projections.kernels.vector import LANES, load, load_as, splat, store

_WIDTH = 64  # columns of a block
_GROUPS = 16  # of four rows, whose tables lie in the first-level cache together
_HEIGHT = 4 * _GROUPS  # rows of a band
_SPARE = 32  # rows whose numbers lie in several pieces that are put side by side, that they be as fast as others


@inner
def _copy(pieces: Any, sign: Any, row: int, column: int, width: int, out: Any) -> None:
    """Put a block of four rows of S G, from `column` on, into out; zeros beyond it."""
    part = np.empty(_WIDTH, out.dtype)
    for k in range(4):
        low = (row + k) * width + column
        high = min(low + min(_WIDTH, width - column), len(sign))
        copied = out[k * _WIDTH : (k + 1) * _WIDTH]
        copied[:] = 0
        if low < high:
            some = stretch(pieces, low, high, part)
            for i in range(high - low):
                copied[i] = some[i] * sign[low + i]


@inner
def _rows(
    pieces: Any, places: Any, sign: Any, groups: Any, first: int, column: int, width: int, copies: Any, tables: Any
) -> None:
    """Put the sums of each four rows of S G, 16 columns from `first` + `column` on, into the tables.

    `first` is where the block begins.
    """
    at = first + column
    for group in range(groups[0], groups[1]):
        row, k = 4 * group, group - groups[0]
        ahead = min(row + _HEIGHT, len(places) - 4)
        for next_ in range(ahead, ahead + 4):
            touch(numbers(places[next_], width, tables), at)
            if column == 0:
                touch(sign, next_ * width + first)
        if places[row]:
            a = load(numbers(places[row], width, tables), at) * load_as(sign, row * width + at, tables)
            b = load(numbers(places[row + 1], width, tables), at) * load_as(sign, (row + 1) * width + at, tables)
            c = load(numbers(places[row + 2], width, tables), at) * load_as(sign, (row + 2) * width + at, tables)
            d = load(numbers(places[row + 3], width, tables), at) * load_as(sign, (row + 3) * width + at, tables)
        else:
            part = copies[k * 4 * _WIDTH : (k + 1) * 4 * _WIDTH]
            if column == 0:
                _copy(pieces, sign, row, first, width, part)
            a, b = load(part, column), load(part, _WIDTH + column)
            c, d = load(part, 2 * _WIDTH + column), load(part, 3 * _WIDTH + column)
        combine(a, b, c, d, tables, k * 16 * LANES, LANES)


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


@inner
def _set_aside(pieces: Any, places: Any, rows: int, width: int, spare: Any) -> None:
    """Copy rows that lie in several pieces; where one of four rows has no place, the first has none."""
    used, reach, count = 0, spare.shape[1], size(pieces)
    for row in range(rows):
        low = row * width
        if low + reach > count or used == len(spare):
            break
        if places[row] == 0:
            stretch(pieces, low, low + reach, spare[used])
            places[row] = place(spare[used])
            used += 1
    for row in range(0, len(places), 4):
        if not (places[row + 1] and places[row + 2] and places[row + 3]):
            places[row] = 0


@kernel
def adjoint(pieces: Any, left: Any, right: Any, sign: Any, out: Any) -> None:
    """out = P^T g, g in pieces."""
    (rows, count), (width, depth) = left.shape, right.shape
    fours, groups, padded = -(-count // 4), -(-rows // 4), -(-depth // 32) * 32
    blocks, bands = -(-width // _WIDTH), -(-groups // _GROUPS)
    chunks, reach = min(blocks, CHUNKS), -(-width // LANES) * LANES
    codes, places = np.empty((fours, groups, 4), np.int32), np.zeros(4 * groups, np.int64)
    for four in prange(fours):
        for group in range(groups):
            for j in range(4):
                code = 16 * (group % _GROUPS)
                for row in range(4 * group, min(4 * group + 4, rows)):
                    if 4 * four + j < count:
                        code += (left[row, 4 * four + j] > 0) << (row - 4 * group)
                codes[four, group, j] = code * LANES
        for row in range(four * rows // fours, (four + 1) * rows // fours):
            low = row * width
            places[row] = address(pieces, low, low + reach, out) if low < len(sign) else 0
    spare = np.empty((_SPARE, reach), out.dtype)
    _set_aside(pieces, places, rows, width, spare)
    totals = np.zeros((chunks, 4 * fours, padded), out.dtype)
    for chunk in prange(chunks):
        tables, copies = np.empty(_GROUPS * 16 * LANES, out.dtype), np.empty(_HEIGHT * _WIDTH, out.dtype)
        sums = np.empty(4 * fours * _WIDTH, out.dtype)
        for block in range(chunk * blocks // chunks, (chunk + 1) * blocks // chunks):
            first = block * _WIDTH
            sums[:] = 0
            for band in range(bands):
                some = band * _GROUPS, min(band * _GROUPS + _GROUPS, groups)
                for column in range(0, min(_WIDTH, width - first), LANES):
                    _rows(pieces, places, sign, some, first, column, width, copies, tables)
                    for four in range(fours):
                        _sum(tables, codes[four, some[0] : some[1]], sums, 4 * four * _WIDTH + column)
            _gather(sums, right, first, min(first + _WIDTH, width), totals[chunk])
    sums = np.empty(4 * fours * padded, out.dtype)
    total(totals.reshape(chunks, -1), out.dtype.type(len(sign) ** -0.5), sums)
    for j in range(len(out)):
        out[j] = sums[j // depth * padded + j % depth]
    spare[0, 0] = 0  # until here it must be there: places are addresses in it
