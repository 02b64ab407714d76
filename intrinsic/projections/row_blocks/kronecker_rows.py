"""Some rows of a Kronecker product."""

from math import isqrt
from typing import Any

from intrinsic import rng
from intrinsic.projections.kronecker import Kronecker
from intrinsic.projections.row_blocks.window import Window, window


class KroneckerRows(Window):
    """Rows low ... high - 1 of `Kronecker`: the rows of R1 that they come from, all of R2, their signs. Drawn alone.

    Memory: about one byte a row and sqrt(full_dim dim). See `RowBlock`.
    """

    def __init__(self, dim: int, full_dim: int, low: int, high: int, *, seed: int) -> None:
        (_, width), (columns1, columns2) = _factors(full_dim), _factors(dim)
        first, last = low // width, -(-high // width)
        tensors = {}
        for name, start, rows, columns in (("left", first, last - first, columns1), ("right", 0, width, columns2)):
            signs = rng.signs(rng.fan_out(seed, name), rows * columns, start=start * columns)
            tensors[name] = signs.reshape(rows, columns)
        held = high - first * width
        tensors["sign"] = rng.signs(rng.fan_out(seed, "signs"), held, start=first * width)
        part = window(Kronecker, dim, held, seed, tensors)
        super().__init__(part, low - first * width, high - low, full_dim)

    @staticmethod
    def plan(dim: int, full_dim: int, rows: int, **options: Any) -> int:
        """Bytes of the signs."""
        return rows


def _factors(count: int) -> tuple[int, int]:
    a = isqrt(count - 1) + 1
    return a, -(-count // a)
