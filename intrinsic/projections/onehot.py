"""Each coordinate moves a group of weights of its own."""

import numpy as np
from torch import Tensor, cat

from intrinsic import rng
from intrinsic.projections.base import Projection, index_dtype


class OneHot(Projection):
    """Coordinate j moves its group of weights together: (P z)_i = s_i z_group(i) / sqrt(|group(i)|), so P^T P = I.

    Groups are a balanced random partition, so none is empty (rows drawn one by one leave some columns empty), and s_i
    are random signs (the source has none). Columns have unit norm exactly. Memory: 9 full_dim bytes. Time:
    O(full_dim). Source: Li et al. 2025, Uni-LoRA, arXiv:2506.00799.
    """

    group: Tensor  # (full_dim,) int32, values in [0, dim)
    order: Tensor  # (full_dim,) int32: the weights of group 0, then those of group 1, ...
    sign: Tensor  # (full_dim,) int8
    sizes: Tensor  # (dim,) int64

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__(dim, full_dim, seed=seed)
        small, self._larger = divmod(full_dim, self.dim)  # the first groups have one weight more than the others
        sizes = np.full(self.dim, small)
        sizes[: self._larger] += 1
        order = rng.permutation(rng.fan_out(seed, "partition"), full_dim)
        group = np.empty(full_dim, dtype=index_dtype(full_dim))
        group[order] = np.repeat(np.arange(self.dim), sizes)
        self._store("group", group)
        self._store("order", order.astype(index_dtype(full_dim)))
        self._store("sign", rng.signs(rng.fan_out(seed, "signs"), full_dim))
        self._store("sizes", sizes)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the two index arrays, the signs and the group sizes."""
        return full_dim * (2 * np.dtype(index_dtype(full_dim)).itemsize + 1) + 8 * dim

    def matvec(self, z: Tensor) -> Tensor:
        """P z by one gather: (..., dim) -> (..., full_dim)."""
        return (z * self.scale(z)).index_select(-1, self.group) * self.sign

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g by one gather and sums over contiguous groups: (..., full_dim) -> (..., dim)."""
        terms = (g * self.sign).index_select(-1, self.order)
        size = self.full_dim // self.dim
        larger, smaller = terms.tensor_split([self._larger * (size + 1)], dim=-1)
        sums = [larger.unflatten(-1, (self._larger, size + 1)).sum(-1), smaller.unflatten(-1, (-1, size)).sum(-1)]
        return cat(sums if self._larger else sums[1:], -1) * self.scale(g)

    def scale(self, like: Tensor) -> Tensor:
        """1 / sqrt(|group(j)|) for each coordinate: (dim,)."""
        return self.sizes.to(like.dtype).rsqrt()
