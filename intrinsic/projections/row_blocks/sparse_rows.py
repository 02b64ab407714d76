"""Some rows of a sparse matrix."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from torch import Tensor

from intrinsic.projections.row_blocks.row_block import RowBlock, wide
from intrinsic.projections.sparse import Sparse


class SparseRows(RowBlock):
    """Rows low ... high - 1 of `Sparse`: their entries, cut out of all of P.

    P is drawn column by column, each place from the one before, so that all of it is needed for a while to have some
    of its rows. Memory: 16 bytes an entry. See `RowBlock`.
    """

    row: Tensor  # (entries,) int64, from 0
    column: Tensor  # (entries,) int32
    value: Tensor  # (entries,)

    def __init__(self, whole: Sparse, low: int, high: int) -> None:
        super().__init__(whole.dim, high - low)
        starts, index, value = (whole.fixed_tensors()[f"rows_{part}"] for part in ("start", "index", "value"))
        start = starts[low : high + 1].long()
        part = slice(int(start[0]), int(start[-1]))
        self._store("row", np.repeat(np.arange(high - low), start.diff().numpy()))
        self._store("column", index[part].clone().numpy())
        self._store("value", value[part].clone().numpy())

    @classmethod
    def draw(
        cls, dim: int, full_dim: int, bounds: Sequence[tuple[int, int]], *, seed: int, **options: Any
    ) -> list[Self]:
        """Rows low ... high - 1 for each of `bounds`."""
        whole = Sparse(dim, full_dim, seed=seed, **options)
        return [cls(whole, low, high) for low, high in bounds]

    @staticmethod
    def plan(dim: int, full_dim: int, rows: int, **options: Any) -> int:
        """Bytes of all of P, which is there for a while."""
        return Sparse.plan(dim, full_dim)

    def multiply(self, z: Tensor) -> Tensor:
        """P z in these rows: (dim,) -> (rows,)."""
        z = wide(z)
        return z.new_zeros(self.rows).index_add_(0, self.row, z[self.column] * self.value)

    def pull_back(self, g: Tensor) -> Tensor:
        """What these rows add to P^T g: (rows,) -> (dim,)."""
        g = wide(g)
        return g.new_zeros(self.dim).index_add_(0, self.column, g[self.row] * self.value)
