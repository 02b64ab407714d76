"""The product with a projection, for autograd."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from intrinsic.projections.kernels.select import is_tracing

if TYPE_CHECKING:
    from intrinsic.projections.base import Projection


def product(projection: "Projection", x: Tensor, *, transposed: bool = False) -> Tensor:
    """P x, (..., dim) -> (..., full_dim), or P^T x, the other way round: each the gradient of the other.

    Raises:
        ValueError: if the last axis has another size.
    """
    size = projection.full_dim if transposed else projection.dim
    if x.shape[-1] != size:
        raise ValueError(f"need a last axis of {size}, got shape {tuple(x.shape)}")
    if not torch.is_grad_enabled() and not is_tracing(x) and unpack_dual(x).tangent is None:
        return projection.multiply(x, transposed=transposed)  # `apply` looks up signatures at each call
    return _Multiply.apply(x, projection, transposed)


class _Multiply(torch.autograd.Function):
    """x -> P x or P^T x, whose derivative is the other one: works to any order and under vmap."""

    @staticmethod
    def forward(x: Tensor, projection: "Projection", transposed: bool) -> Tensor:
        return projection.multiply(x, transposed=transposed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, "Projection", bool], output: Tensor) -> None:
        _, ctx.projection, ctx.transposed = inputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _Multiply.apply(grads[0], ctx.projection, not ctx.transposed), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _Multiply.apply(tangents[0], ctx.projection, ctx.transposed)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, projection: "Projection", transposed: bool) -> Any:
        axis = in_dims[0]
        assert axis is not None  # vmap calls this rule only if a tensor argument is batched
        return _Multiply.apply(x.movedim(axis, 0), projection, transposed), 0
