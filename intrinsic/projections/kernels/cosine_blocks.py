"""Blocks of a matrix, 32 lines of it: their waves, and how they are read from vectors in pieces and written there.

A line's numbers are a column of the block, whose rows `at_row` places.
"""

from typing import Any

import numba
import numpy as np

from intrinsic.projections.kernels.compile import inner
from intrinsic.projections.kernels.cosine_columns import at_row
from intrinsic.projections.kernels.cosine_cost import WIDTH
from intrinsic.projections.kernels.cosine_plan import ACROSS, ALONG, CIRCLE, GROUP, GROUPS, LENGTH, START
from intrinsic.projections.kernels.pieces import address, numbers, put, stretch, target
from intrinsic.projections.kernels.transpose import read_tile, write_tile
from intrinsic.projections.kernels.vector import LANES, load, splat, store, sum_lanes


@inner
def empty(count: Any, like: Any) -> Any:
    """An array that begins with a line of the cache: vectors that lie in two of them take twice as long."""
    room = np.empty(count + LANES, like.dtype)
    first = -room.ctypes.data % (4 * LANES) // like.itemsize
    return room[first : first + count]


@numba.njit(forceinline=True)
def _turned(group: Any, matrix: Any, block: Any, which: Any, steps: Any, tables: Any, waves: Any) -> Any:
    """The wave of a group of coefficients, turned from the first block to this one: its two vectors."""
    wave, at = 2 * WIDTH * which[group], matrix[CIRCLE] + 2 * (steps[group] * block % matrix[ACROSS])
    cosine, sine = splat(tables[at]), splat(tables[at + 1])
    a = cosine * load(waves, wave) - sine * load(waves, wave + WIDTH)
    b = cosine * load(waves, wave + LANES) - sine * load(waves, wave + WIDTH + LANES)
    return a, b


@inner
def spread(
    z: Any, matrix: Any, block: Any, firsts: Any, which: Any, steps: Any, places: Any, rows: Any, tables: Any,
    waves: Any, x: Any,
) -> None:  # fmt: skip
    """x = S C of a block: each wave in the rows of its coefficients."""
    for i in range(0, WIDTH * matrix[LENGTH], LANES):
        store(x, i, splat(z.dtype.type(0)))
    for group in range(matrix[GROUP], matrix[GROUPS]):
        a, b = _turned(group, matrix, block, which, steps, tables, waves)
        for k in range(firsts[group], firsts[group + 1]):
            number, row = splat(z[places[k]]), WIDTH * rows[k]
            store(x, row, load(x, row) + number * a)
            store(x, row + LANES, load(x, row + LANES) + number * b)


@inner
def gather(
    x: Any, matrix: Any, block: Any, firsts: Any, which: Any, steps: Any, rows: Any, tables: Any, waves: Any, sums: Any,
    base: Any,
) -> None:  # fmt: skip
    """Add each coefficient of a block, X C^T at its place, to its sum; the first sum is of coefficient `base`."""
    for group in range(matrix[GROUP], matrix[GROUPS]):
        a, b = _turned(group, matrix, block, which, steps, tables, waves)
        for k in range(firsts[group], firsts[group + 1]):
            row = WIDTH * rows[k]
            sums[k - base] += sum_lanes(load(x, row) * a + load(x, row + LANES) * b)


@inner
def read(pieces: Any, matrix: Any, block: Any, x: Any, buffer: Any) -> None:
    """A block of a vector into x, zero beyond the matrix."""
    start, length, across = matrix[START], matrix[LENGTH], matrix[ACROSS]
    column = block * WIDTH
    width = min(WIDTH, across - column)
    whole = address(pieces, start, start + length * across, buffer)
    if matrix[ALONG]:
        first = start + column * length
        lines, tiled = 0, length // LANES * LANES
        if whole:
            lines = width // LANES * LANES
            part = numbers(whole + column * length * x.itemsize, width * length, x)
            for k in range(0, lines, LANES):
                for i in range(0, tiled, LANES):
                    read_tile(part, k * length + i, length, x, at_row(i, length) + k, at_row(i + 1, length) + k)
        for k in range(width):
            line = stretch(pieces, first + k * length, first + (k + 1) * length, buffer)
            for i in range(tiled if k < lines else 0, length):
                x[at_row(i, length) + k] = line[i]
        for i in range(0, WIDTH * length, WIDTH):
            x[i + width : i + WIDTH] = 0
        return
    for i in range(length):
        low, at = i * across + column, at_row(i, length)
        if whole:
            line = numbers(whole + low * x.itemsize, width, x)
        else:
            line = stretch(pieces, start + low, start + low + width, buffer)
        if width == WIDTH:
            store(x, at, load(line, 0))
            store(x, at + LANES, load(line, LANES))
        else:
            for k in range(width):
                x[at + k] = line[k]
            x[at + width : at + WIDTH] = 0


@inner
def write(x: Any, matrix: Any, block: Any, origins: Any, outs: Any, buffer: Any, other: Any) -> None:
    """The origins + x, a block of it."""
    start, length, across = matrix[START], matrix[LENGTH], matrix[ACROSS]
    column, stop = block * WIDTH, start + length * across
    width = min(WIDTH, across - column)
    whole, goal = address(origins, start, stop, buffer), address(outs, start, stop, other)
    if matrix[ALONG]:
        first = column * length
        lines, tiled = 0, length // LANES * LANES
        if whole and goal:
            lines = width // LANES * LANES
            part = numbers(whole + first * x.itemsize, width * length, x)
            into = numbers(goal + first * x.itemsize, width * length, x)
            for k in range(0, lines, LANES):
                for i in range(0, tiled, LANES):
                    write_tile(x, at_row(i, length) + k, at_row(i + 1, length) + k, part, into, k * length + i, length)
        for k in range(width):
            low, high = start + first + k * length, start + first + (k + 1) * length
            line, out = stretch(origins, low, high, buffer), target(outs, low, high, other)
            for i in range(tiled if k < lines else 0, length):
                out[i] = line[i] + x[at_row(i, length) + k]
            put(outs, low, high, other)
        return
    for i in range(length):
        low, at = i * across + column, at_row(i, length)
        if whole and goal:
            line, out = numbers(whole + low * x.itemsize, width, x), numbers(goal + low * x.itemsize, width, x)
        else:
            line = stretch(origins, start + low, start + low + width, buffer)
            out = target(outs, start + low, start + low + width, other)
        if width == WIDTH:
            store(out, 0, load(line, 0) + load(x, at))
            store(out, LANES, load(line, LANES) + load(x, at + LANES))
        else:
            for k in range(width):
                out[k] = line[k] + x[at + k]
        if not (whole and goal):
            put(outs, start + low, start + low + width, other)


@inner
def copy(matrix: Any, low: Any, high: Any, origins: Any, outs: Any, buffer: Any, other: Any) -> None:
    """The origins, of a matrix without coefficients, from number `low` of it on."""
    low += matrix[START]
    high = min(matrix[START] + high, matrix[START] + matrix[ACROSS])
    start, out = stretch(origins, low, high, buffer), target(outs, low, high, other)
    for i in range(high - low):
        out[i] = start[i]
    put(outs, low, high, other)
