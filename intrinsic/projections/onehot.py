"""Groups of weights, each moved by a coordinate of its own."""

import numpy as np
import torch
from torch import Tensor, cat

from intrinsic import rng
from intrinsic.projections.base import Projection, index_dtype
from intrinsic.projections.tiles import tiles


class OneHot(Projection):
    """Coordinate j moves its group of weights together: (P z)_i = s_i z_group(i) / sqrt(|group(i)|), so P^T P = I.

    Groups are a balanced random partition, so none is empty (rows drawn one by one leave some columns empty), and s_i
    are random signs (the source has none). Columns have unit norm exactly. Memory: 6 full_dim bytes, 8 for dim >
    16,384. Time: O(full_dim). Source: Li et al. 2025, Uni-LoRA, arXiv:2506.00799.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.OneHot(4, 100, seed=0)
        >>> columns = P(torch.eye(4))
        >>> columns.count_nonzero(dim=1), torch.allclose(columns @ columns.T, torch.eye(4))
        (tensor([25, 25, 25, 25]), True)
    """

    code: Tensor  # (full_dim,) int16 if 2 dim fits, else int32: 2 group(i) + (1 if the sign is +)
    order: Tensor  # (full_dim,) int32: the weights of group 0, then those of group 1, ...
    sizes: Tensor  # (dim,) int64

    unit_columns = True

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__(dim, full_dim, seed=seed)
        small, self.larger = divmod(full_dim, self.dim)  # the first groups have one weight more than the others
        sizes = np.full(self.dim, small)
        sizes[: self.larger] += 1
        order = rng.permutation(rng.fan_out(seed, "partition"), full_dim)
        code = rng.signs(rng.fan_out(seed, "signs"), full_dim).astype(_code_dtype(self.dim))
        code[code < 0] = 0
        code[order] += np.repeat(2 * np.arange(self.dim, dtype=code.dtype), sizes)
        self._store("code", code)
        self._store("order", order.astype(index_dtype(full_dim)))
        self._store("sizes", sizes)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the groups with their signs, the weights by group, and the group sizes."""
        return full_dim * (np.dtype(index_dtype(full_dim)).itemsize + np.dtype(_code_dtype(dim)).itemsize) + 8 * dim

    def matvec(self, z: Tensor) -> Tensor:
        """P z by one gather: (..., dim) -> (..., full_dim)."""
        return (z * self.scale(z)).index_select(-1, self.group()) * self.sign()

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g by one gather and sums over contiguous groups: (..., full_dim) -> (..., dim)."""
        terms = (g * self.sign()).index_select(-1, self.order)
        size = self.full_dim // self.dim
        larger, smaller = terms.tensor_split([self.larger * (size + 1)], dim=-1)
        sums = [larger.unflatten(-1, (self.larger, size + 1)).sum(-1), smaller.unflatten(-1, (-1, size)).sum(-1)]
        return cat(sums if self.larger else sums[1:], -1) * self.scale(g)

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows: (rows,) -> (dim,)."""
        g = g.to(torch.promote_types(g.dtype, torch.float32))
        index = torch.promote_types(self.code.dtype, torch.int32)
        sums = g.new_zeros(2 * self.dim)  # for each code
        code = self.code[low : low + len(g)]
        for part in tiles(len(g)):
            sums.index_add_(0, code[part].to(index), g[part])
        return (sums[1::2] - sums[::2]) * self.scale(g)

    def group(self) -> Tensor:
        """The coordinate that moves each weight: (full_dim,), values in [0, dim)."""
        return (self.code >> 1).int() if self.code.itemsize == 2 else self.code >> 1

    def sign(self) -> Tensor:
        """s: (full_dim,), -1 or 1."""
        return 2 * (self.code & 1) - 1

    def scale(self, like: Tensor) -> Tensor:
        """1 / sqrt(|group(j)|) for each coordinate: (dim,)."""
        return self.sizes.to(like.dtype).rsqrt()


def _code_dtype(dim: int) -> type[np.signedinteger]:
    return np.int16 if dim <= 1 << 14 else np.int32 if dim <= 1 << 30 else np.int64
