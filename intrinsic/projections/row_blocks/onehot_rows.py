"""Some rows of a partition of the weights."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.projections.row_blocks.borders import Borders, borders
from intrinsic.projections.row_blocks.row_block import RowBlock, wide
from intrinsic.projections.tiles import tiles


class OneHotRows(RowBlock):
    """Rows low ... high - 1 of `OneHot`: group and sign of these weights. Drawn alone, without the permutation.

    A weight is in group j if its key lies between those of the first weights of groups j and j + 1 in the order of all
    keys. These dim - 1 keys are found in two passes over the stream of all keys, of which nothing is kept (see
    `borders`): O(full_dim) time on each process. Memory: 2 bytes a row, 4 for dim > 16,384. See `RowBlock`.
    """

    code: Tensor  # (rows,) int16 if 2 dim fits, else int32: 2 group(i) + (1 if the sign is +)
    sizes: Tensor  # (dim,) int64

    def __init__(self, found: Borders, low: int, high: int, *, full_dim: int, seed: int) -> None:
        super().__init__(len(found.keys) + 1, high - low)
        dtype = np.int16 if self.dim <= 1 << 14 else np.int32 if self.dim <= 1 << 30 else np.int64
        code = np.empty(high - low, dtype)
        for part in tiles(high - low):
            start, count = low + part.start, part.stop - part.start
            group = found.group(rng.keys(rng.fan_out(seed, "partition"), count, start=start), start)
            code[part] = 2 * group + (rng.signs(rng.fan_out(seed, "signs"), count, start=start) > 0)
        sizes = np.full(self.dim, full_dim // self.dim)
        sizes[: full_dim % self.dim] += 1
        self._store("code", code)
        self._store("sizes", sizes)

    @classmethod
    def draw(
        cls, dim: int, full_dim: int, bounds: Sequence[tuple[int, int]], *, seed: int, **options: Any
    ) -> list[Self]:
        """Rows low ... high - 1 for each of `bounds`."""
        found = borders(dim, full_dim, seed=rng.fan_out(seed, "partition"))
        return [cls(found, low, high, full_dim=full_dim, seed=seed, **options) for low, high in bounds]

    @staticmethod
    def plan(dim: int, full_dim: int, rows: int, **options: Any) -> int:
        """Bytes of the groups with their signs."""
        return rows * (2 if dim <= 1 << 14 else 4 if dim <= 1 << 30 else 8)

    def multiply(self, z: Tensor) -> Tensor:
        """P z in these rows: (dim,) -> (rows,)."""
        z = wide(z)
        z = z * self.sizes.to(z.dtype).rsqrt()
        moves, out = torch.stack([-z, z], -1).flatten(), z.new_empty(self.rows)  # of each code
        for part in tiles(self.rows):
            torch.index_select(moves, 0, self._index(part), out=out[part])
        return out

    def pull_back(self, g: Tensor) -> Tensor:
        """What these rows add to P^T g: (rows,) -> (dim,)."""
        g = wide(g)
        sums = g.new_zeros(2 * self.dim)  # for each code
        for part in tiles(self.rows):
            sums.index_add_(0, self._index(part), g[part])
        return (sums[1::2] - sums[::2]) * self.sizes.to(g.dtype).rsqrt()

    def _index(self, part: slice) -> Tensor:
        return self.code[part].to(torch.promote_types(self.code.dtype, torch.int32))
