"""One P over all of theta, or one for each of its tensors."""

from collections.abc import Callable, Sequence
from typing import Literal

from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.stacked import Stacked

Granularity = Literal["global", "tensor", "block"]


def draw(
    make: Callable[..., Projection], dim: int, sizes: Sequence[int], *, granularity: Granularity, seed: int
) -> Projection:
    """P (sum of sizes, dim): one over all of theta ("global"), or one for each tensor, over the same z ("tensor") or
    over a share of z ("block").

    Raises:
        UserError: for another granularity, or if `make` refuses the sizes.
    """
    if granularity == "global":
        return make(dim, sum(sizes), seed=seed)
    if granularity not in ("tensor", "block"):
        raise UserError(f"need granularity=global, tensor or block, got granularity={granularity}")
    return (Stacked if granularity == "tensor" else BlockDiagonal)(make, dim, sizes, seed=seed)
