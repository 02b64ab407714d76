"""One P over all of theta, or one for each of its tensors."""

from collections.abc import Callable, Sequence
from typing import Literal

from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.stacked import Stacked
from intrinsic.projections.zero_rows import Stretch, WithoutRows

Granularity = Literal["global", "tensor", "block"]


def draw(
    make: Callable[..., Projection],
    dim: int,
    sizes: Sequence[int],
    *,
    granularity: Granularity,
    seed: int,
    shapes: Sequence[Sequence[int]] | None = None,
    zero: list[Stretch] | None = None,
) -> Projection:
    """P (sum of sizes, dim): one over all of theta ("global"), or one for each tensor, over the same z ("tensor") or
    over a share of z ("block"). A projection that is made by shape is told those of the tensors. `zero`: rows that are.

    Raises:
        UserError: for another granularity, or if `make` refuses the sizes.
    """
    if zero:
        return WithoutRows(draw(make, dim, sizes, granularity=granularity, seed=seed, shapes=shapes), zero)
    known = shapes if getattr(getattr(make, "func", make), "by_shape", False) else None
    if granularity == "global":
        return make(dim, sum(sizes), seed=seed) if known is None else make(dim, sum(sizes), seed=seed, shapes=known)
    if granularity not in ("tensor", "block"):
        raise UserError(f"need granularity=global, tensor or block, got granularity={granularity}")
    return (Stacked if granularity == "tensor" else BlockDiagonal)(make, dim, sizes, seed=seed, shapes=known)
