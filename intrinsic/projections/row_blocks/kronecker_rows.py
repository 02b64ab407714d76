"""Some rows of a Kronecker product."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.kronecker import Kronecker, factors
from intrinsic.projections.row_blocks.row_block import InParts
from intrinsic.projections.row_blocks.window import Window, window

_PART = 1 << 24  # signs at a time, of all


class KroneckerRows(Window):
    """Rows low ... high - 1 of `Kronecker`: the rows of R1 that they come from, all of R2, their signs. Drawn alone.

    Memory: about one byte a row and sqrt(full_dim dim). See `RowBlock`.
    """

    def __init__(self, dim: int, full_dim: int, low: int, high: int, *, seed: int) -> None:
        (_, width), (columns1, columns2) = factors(full_dim), factors(dim)
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

    @staticmethod
    def whole(dim: int, full_dim: int, *, seed: int, **options: Any) -> Mapping[str, InParts] | None:
        """Both factors, and the signs in parts."""
        (rows1, rows2), (columns1, columns2) = factors(full_dim), factors(dim)
        found, signs = {}, rng.fan_out(seed, "signs")
        for name, rows, columns in (("left", rows1, columns1), ("right", rows2, columns2)):
            drawn = rng.signs(rng.fan_out(seed, name), rows * columns)
            found[name] = InParts(drawn.dtype, (rows, columns), iter([drawn]))
        starts = range(0, full_dim, _PART)
        parts = (rng.signs(signs, min(_PART, full_dim - low), start=low) for low in starts)
        return found | {"sign": InParts(np.dtype(np.int8), (full_dim,), parts)}
