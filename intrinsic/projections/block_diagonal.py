"""One random matrix and one share of the coordinates for each tensor."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, cat, nn

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.of_shapes import of_shapes
from intrinsic.projections.shares import shares


class BlockDiagonal(Projection):
    """`granularity: block`: tensor k moves by P_k z_k, z cut into one piece z_k for each tensor.

    Columns have the norms of the P_k, which act on one tensor each. The pieces are as equal as the tensors' sizes
    allow, so that dim is what is trained in all. Source: Koohpayegani et al. 2023, NOLA, arXiv:2310.02556, equation 3,
    whose number of basis matrices is our dim / number of tensors.

    Args:
        make: called as make(dim_k, full_dim_k, seed=...) for each tensor.
        dim: d, the number of coordinates in all.
        sizes: the number of weights of each tensor.
        seed: fans out into one seed for each tensor.
        shapes: of the tensors, which `make` is told as `shapes`. None: it is not.

    Raises:
        UserError: if there are fewer coordinates than tensors.
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
        if self.dim < len(sizes):
            raise UserError(f"granularity=block needs a coordinate for each of {len(sizes)} tensors, got dim={dim}")
        self.dims, self.sizes = shares(self.dim, sizes), list(sizes)
        makes = of_shapes(make, shapes, len(sizes))
        parts = [
            makes[k](share, size, seed=rng.fan_out(seed, "tensor", k))
            for k, (share, size) in enumerate(zip(self.dims, sizes, strict=True))
        ]
        self.parts, self.nbytes = nn.ModuleList(parts), sum(part.nbytes for part in parts)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Nothing of its own: each part plans for itself."""
        return 0

    def matvec(self, z: Tensor) -> Tensor:
        """P z, each tensor from its own piece: (..., dim) -> (..., full_dim)."""
        pieces = zip(cast(Iterable[Projection], self.parts), z.split(self.dims, -1), strict=True)
        return cat([part.matvec(piece) for part, piece in pieces], -1)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g, each piece from its own tensor: (..., full_dim) -> (..., dim)."""
        pieces = zip(cast(Iterable[Projection], self.parts), g.split(self.sizes, -1), strict=True)
        return cat([part.rmatvec(piece) for part, piece in pieces], -1)

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows, tensor by tensor: (rows,) -> (dim,)."""
        sums, start = [], 0
        for part, size in zip(cast(Iterable[Projection], self.parts), self.sizes, strict=True):
            first, last = max(low, start), min(low + len(g), start + size)
            sums.append(
                part.multiply_rows(g[first - low : last - low], first - start)
                if first < last
                else g.new_zeros(part.dim, dtype=torch.promote_types(g.dtype, torch.float32))
            )
            start += size
        return cat(sums)
