"""One random matrix for each tensor, the coordinates shared by all."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, cat, nn

from intrinsic import rng
from intrinsic.projections.base import Projection
from intrinsic.projections.of_shapes import of_shapes


class Stacked(Projection):
    """`granularity: tensor`: tensor k moves by P_k z, P_k (full_dim_k, dim) with unit columns of its own.

    The variant of many public codebases, and another experiment than one P over all weights: the bias of ten moves as
    far as the matrix of 157,000, and the columns of the whole P have norm sqrt(number of tensors). The P_k of a tensor
    of fewer than dim weights is the top of a (dim, dim) matrix, scaled so that its columns have unit norm in
    expectation: no coordinate is lost.

    Args:
        make: called as make(dim, full_dim, seed=...) for each tensor.
        dim: d, the number of coordinates.
        sizes: the number of weights of each tensor.
        seed: fans out into one seed for each tensor.
        shapes: of the tensors, which `make` is told as `shapes`. None: it is not.
    """

    parts: nn.ModuleList

    def __init__(
        self,
        make: Callable[..., Projection],
        dim: int,
        sizes: Sequence[int],
        *,
        seed: int,
        shapes: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__(dim, sum(sizes), seed=seed)
        self.sizes = list(sizes)
        makes = of_shapes(make, shapes, len(sizes))
        parts = [
            makes[k](dim, max(size, self.dim), seed=rng.fan_out(seed, "tensor", k)) for k, size in enumerate(sizes)
        ]
        self.parts, self.nbytes = nn.ModuleList(parts), sum(part.nbytes for part in parts)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Nothing of its own: each part plans for itself."""
        return 0

    def matvec(self, z: Tensor) -> Tensor:
        """P z, tensor by tensor: (..., dim) -> (..., full_dim)."""
        return cat([part.matvec(z)[..., :size] * scale for part, size, scale in self._parts()], -1)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g, summed over the tensors: (..., full_dim) -> (..., dim)."""
        total = g.new_zeros(*g.shape[:-1], self.dim)
        for (part, size, scale), piece in zip(self._parts(), g.split(self.sizes, -1), strict=True):
            total += part.rmatvec(nn.functional.pad(piece, (0, part.full_dim - size))) * scale
        return total

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows, tensor by tensor: (rows,) -> (dim,)."""
        sums, start = [], 0
        for part, size, scale in self._parts():
            first, last = max(low, start), min(low + len(g), start + size)
            if first < last:
                sums.append(part.multiply_rows(g[first - low : last - low], first - start) * scale)
            start += size
        return torch.stack(sums).sum(0)

    def _parts(self) -> list[tuple[Projection, int, float]]:
        pairs = zip(cast(Iterable[Projection], self.parts), self.sizes, strict=True)
        return [(part, size, (part.full_dim / size) ** 0.5) for part, size in pairs]
