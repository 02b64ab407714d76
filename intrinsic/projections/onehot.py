"""Groups of weights, each moved by a coordinate of its own."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor, cat

from intrinsic import rng
from intrinsic.projections.base import SCRATCH, Projection
from intrinsic.projections.device_draws import onehot as device_draw
from intrinsic.projections.kernels.draws import drawn_by_kernels, draws
from intrinsic.projections.kernels.select import is_tracing
from intrinsic.projections.tiles import index_dtype, tiles


class OneHot(Projection):
    """Coordinate j moves its group of weights together: (P z)_i = s_i z_group(i) / sqrt(|group(i)|), so P^T P = I.

    Groups are a balanced random partition, so none is empty (rows drawn one by one leave some columns empty), and s_i
    are random signs (the source has none). Columns have unit norm exactly. Memory: 2 full_dim bytes, 4 for dim >
    16,384, and 4 more once `order` is asked for. Time: O(full_dim). Source: Li et al. 2025, Uni-LoRA, arXiv:2506.00799.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.OneHot(4, 100, seed=0)
        >>> columns = P(torch.eye(4))
        >>> columns.count_nonzero(dim=1), torch.allclose(columns @ columns.T, torch.eye(4))
        (tensor([25, 25, 25, 25]), True)
    """

    code: Tensor  # (full_dim,) int16 if 2 dim fits, else int32: 2 group(i) + (1 if the sign is +)
    sizes: Tensor  # (dim,) int64

    later = ("order",)
    unit_columns = True

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__(dim, full_dim, seed=seed)
        self.larger = full_dim % self.dim  # the first groups have one weight more than the others
        if self._draw_there(device_draw.draw, code_dtype(self.dim)):
            return
        sizes = group_sizes(self.dim, full_dim)
        signs, compiled = rng.fan_out(seed, "signs"), draws("groups", full_dim)
        if compiled is None:
            code = rng.signs(signs, full_dim).astype(code_dtype(self.dim))
            code[code < 0] = 0
            order = rng.permutation(self._partition, full_dim)
            code[order] += np.repeat(2 * np.arange(self.dim, dtype=code.dtype), sizes)
        else:
            code = np.empty(full_dim, code_dtype(self.dim))
            compiled.groups(self._partition, signs, self.dim, code)
        self._store("code", code)
        self._store("sizes", sizes)

    @property
    def _partition(self) -> int:
        return rng.fan_out(self.seed, "partition")

    @cached_property
    def order(self) -> Tensor:
        """The weights of group 0, then those of group 1, ...: (full_dim,) int32, for plain torch and for GPUs."""
        compiled, dtype = draws("permutation", self.full_dim), index_dtype(self.full_dim)
        if compiled is None:
            order = rng.permutation(self._partition, self.full_dim).astype(dtype)
        else:
            order = np.empty(self.full_dim, dtype)
            compiled.permutation(self._partition, order)
        with torch.inference_mode(False):
            return torch.from_numpy(order).to(self.code.device)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the groups with their signs, and the group sizes."""
        return full_dim * np.dtype(code_dtype(dim)).itemsize + 8 * dim

    @classmethod
    def peak(cls, dim: int, full_dim: int) -> int:
        """Beside P: a number for each weight that is sorted, an eighth of all or all; 20 bytes a weight by numpy."""
        if not drawn_by_kernels(full_dim):
            return cls.plan(dim, full_dim) + 20 * full_dim + min(SCRATCH, 64 * full_dim)
        index = np.dtype(index_dtype(full_dim)).itemsize * full_dim
        return super().peak(dim, full_dim) + (index // 8 if dim < 1 << 15 else index) + full_dim // 4 + SCRATCH

    def matvec(self, z: Tensor) -> Tensor:
        """P z by one gather: (..., dim) -> (..., full_dim)."""
        return (z * self.scale(z)).index_select(-1, self.group()) * self.sign()

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g by one gather and sums over contiguous groups: (..., full_dim) -> (..., dim)."""
        if is_tracing(g):  # the order cannot be made under a tracer
            index = self.code.to(torch.promote_types(self.code.dtype, torch.int32))
            sums_ = g.new_zeros(*g.shape[:-1], 2 * self.dim).index_add(-1, index, g)
            return (sums_[..., 1::2] - sums_[..., ::2]) * self.scale(g)
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


def group_sizes(dim: int, full_dim: int) -> np.ndarray:
    """The number of weights in each group: (dim,) int64."""
    sizes = np.full(dim, full_dim // dim)
    sizes[: full_dim % dim] += 1
    return sizes


def code_dtype(dim: int) -> type[np.signedinteger]:
    """The narrowest integer for 2 group + 1."""
    return np.int16 if dim <= 1 << 14 else np.int32 if dim <= 1 << 30 else np.int64
