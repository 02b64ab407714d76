"""Some rows of Fastfood."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from intrinsic.projections.fastfood import Fastfood, draw_blocks, shape_of
from intrinsic.projections.row_blocks.row_block import InParts
from intrinsic.projections.row_blocks.window import Window, window

_PART = 1 << 24  # weights at a time, of all


class FastfoodRows(Window):
    """Rows low ... high - 1 of `Fastfood`: the blocks that they lie in, of which all is computed. Drawn alone.

    Memory and time: those of the rows, rounded up to whole blocks of n = 2^ceil(log2 dim) at both ends. See `RowBlock`.
    """

    def __init__(self, dim: int, full_dim: int, low: int, high: int, *, seed: int, entries: str = "gaussian") -> None:
        _, n = shape_of(dim, full_dim)
        first, last = low // n, -(-high // n)
        tensors = draw_blocks(n, first, last, seed=seed, entries=entries)
        super().__init__(window(Fastfood, dim, high - first * n, seed, tensors), low - first * n, high - low, full_dim)

    @staticmethod
    def whole(dim: int, full_dim: int, *, seed: int, **options: Any) -> Mapping[str, InParts] | None:
        """Blocks after blocks, drawn for each tensor anew."""
        blocks, n = shape_of(dim, full_dim)
        step, entries = max(1, _PART // n), options.get("entries", "gaussian")

        def parts(name: str) -> Iterator[np.ndarray]:
            for first in range(0, blocks, step):
                yield draw_blocks(n, first, min(first + step, blocks), seed=seed, entries=entries)[name]

        like = draw_blocks(n, 0, 1, seed=seed, entries=entries)
        return {name: InParts(array.dtype, (blocks, n), parts(name)) for name, array in like.items()}

    @staticmethod
    def plan(dim: int, full_dim: int, rows: int, **options: Any) -> int:
        """Bytes of the signs, the diagonal and the permutation."""
        return rows * (7 if dim <= 1 << 16 else 9)
