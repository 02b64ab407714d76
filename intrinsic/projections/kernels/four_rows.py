"""The sums of four rows of numbers with all signs: adding many rows with signs takes one of 16 for each four."""

from typing import Any

import numba

from intrinsic.projections.kernels.vector import store


@numba.njit(forceinline=True)
def combine(a: Any, b: Any, c: Any, d: Any, table: Any, place: int, width: int) -> None:
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
