"""One P over all of theta, or one for each of its tensors."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Literal

from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.stacked import Stacked

Granularity = Literal["global", "tensor", "block"]


def draw(
    make: Callable[..., Projection],
    dim: int,
    sizes: Sequence[int],
    *,
    granularity: Granularity,
    seed: int,
    shapes: Sequence[Sequence[int]] | None = None,
) -> Projection:
    """P (sum of sizes, dim): one over all of theta ("global"), or one for each tensor, over the same z ("tensor") or
    over a share of z ("block"). A projection that is made by shape is told those of the tensors.

    Raises:
        UserError: for another granularity, or if `make` refuses the sizes.
    """
    known = shapes if getattr(getattr(make, "func", make), "by_shape", False) else None
    if granularity == "global":
        return make(dim, sum(sizes), seed=seed) if known is None else make(dim, sum(sizes), seed=seed, shapes=known)
    if granularity not in ("tensor", "block"):
        raise UserError(f"need granularity=global, tensor or block, got granularity={granularity}")
    makes = make if known is None else [partial(_of_shape, make, shape) for shape in known]
    return (Stacked if granularity == "tensor" else BlockDiagonal)(makes, dim, sizes, seed=seed)


def _of_shape(
    make: Callable[..., Projection], shape: Sequence[int], dim: int, full_dim: int, *, seed: int
) -> Projection:
    """The P of a tensor of this shape, or one of a shape of its own where it has more rows than the tensor."""
    return make(dim, full_dim, seed=seed, shapes=[shape] if prod(shape) == full_dim else None)
