"""Some rows of a partition of the weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.projections.kernels.draws import draws
from intrinsic.projections.onehot import code_dtype, group_sizes
from intrinsic.projections.row_blocks.borders import Borders, borders
from intrinsic.projections.row_blocks.row_block import InParts, RowBlock, wide
from intrinsic.projections.tiles import index_dtype, tiles

_PART = 1 << 24  # weights at a time, of all


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
        self._store("code", _code(found, low, high, seed=seed))
        self._store("sizes", group_sizes(self.dim, full_dim))

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
        return rows * np.dtype(code_dtype(dim)).itemsize

    @staticmethod
    def whole(dim: int, full_dim: int, *, seed: int, **options: Any) -> Mapping[str, InParts] | None:
        """Groups with signs, the order and the group sizes; None without compiled draws, which make parts of orders."""
        compiled = draws("permutation", full_dim)
        if compiled is None:
            return None
        partition, order = rng.fan_out(seed, "partition"), index_dtype(full_dim)
        found, sizes = borders(dim, full_dim, seed=partition), group_sizes(dim, full_dim)
        starts = range(0, full_dim, _PART)
        code = (_code(found, low, min(low + _PART, full_dim), seed=seed) for low in starts)
        return {
            "code": InParts(np.dtype(code_dtype(dim)), (full_dim,), code),
            "order": InParts(np.dtype(order), (full_dim,), compiled.permutation_parts(partition, full_dim, order)),
            "sizes": InParts(sizes.dtype, sizes.shape, iter([sizes])),
        }

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


def _code(found: Borders, low: int, high: int, *, seed: int) -> np.ndarray:
    """2 group + (1 if the sign is +) of the weights low ... high - 1: (high - low,)."""
    partition, signs = rng.fan_out(seed, "partition"), rng.fan_out(seed, "signs")
    code = np.empty(high - low, code_dtype(len(found.keys) + 1))
    compiled = draws("borders", high - low)
    if compiled is not None:
        compiled.codes(partition, signs, found.keys, found.weights, low, code)
        return code
    for part in tiles(high - low):
        start, count = low + part.start, part.stop - part.start
        group = found.group(rng.keys(partition, count, start=start), start)
        code[part] = 2 * group + (rng.signs(signs, count, start=start) > 0)
    return code
