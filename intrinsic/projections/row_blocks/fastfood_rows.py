"""Some rows of Fastfood."""

from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.fastfood import Fastfood
from intrinsic.projections.row_blocks.window import Window, window

_DRAWN = 1 << 20  # weights for which random numbers are drawn at a time


class FastfoodRows(Window):
    """Rows low ... high - 1 of `Fastfood`: the blocks that they lie in, of which all is computed. Drawn alone.

    Memory and time: those of the rows, rounded up to whole blocks of n = 2^ceil(log2 dim) at both ends. See `RowBlock`.
    """

    def __init__(self, dim: int, full_dim: int, low: int, high: int, *, seed: int, entries: str = "gaussian") -> None:
        n = 1 << (dim - 1).bit_length()
        first, last = low // n, -(-high // n)
        shape = last - first, n
        index = np.dtype(np.uint16 if n <= 1 << 16 else np.uint32)
        sign, gain, source = np.empty(shape, np.int8), np.empty(shape, np.float32), np.empty(shape, index)
        draw = rng.normals if entries == "gaussian" else rng.signs
        seeds = [rng.fan_out(seed, purpose) for purpose in ("signs", "gain", "permutation")]
        step = max(1, _DRAWN // n)
        for block in range(0, len(sign), step):
            part = slice(block, block + step)
            start, count = (first + block) * n, sign[part].size
            sign[part] = rng.signs(seeds[0], count, start=start).reshape(-1, n)
            drawn = draw(seeds[1], count, start=start).reshape(-1, n)
            gain[part] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
            source[part] = rng.keys(seeds[2], count, start=start).reshape(-1, n).argsort(axis=1, kind="stable")
        tensors: dict[str, np.ndarray] = {"sign": sign, "gain": gain, "source": source.view(f"i{index.itemsize}")}
        super().__init__(window(Fastfood, dim, high - first * n, seed, tensors), low - first * n, high - low, full_dim)

    @staticmethod
    def plan(dim: int, full_dim: int, rows: int, **options: Any) -> int:
        """Bytes of the signs, the diagonal and the permutation."""
        return rows * (7 if dim <= 1 << 16 else 9)
