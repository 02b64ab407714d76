"""L2 of the weights theta_0 + P z."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def regularized(loss: Tensor, weights: Mapping[str, Tensor], l2_weights: float) -> Tensor:
    """The loss, with the gradient of loss + l2_weights * the sum of squares of the weights with two axes or more.

    The sum itself is not computed: nobody reads it, and the passes over the weights that it takes cost as much as the
    gradient.
    """
    kernels = [w for w in weights.values() if w.ndim > 1]
    return _WithL2.apply(loss, l2_weights, *kernels) if l2_weights and kernels else loss


class _WithL2(torch.autograd.Function):
    """(loss, l2, w_1, ...) -> loss; the gradient of w_i is 2 l2 w_i."""

    generate_vmap_rule = True

    @staticmethod
    def forward(loss: Tensor, l2: float, *kernels: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.l2, *kernels = inputs
        ctx.save_for_backward(*kernels)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        factor = 2 * ctx.l2 * grads[0]
        return grads[0], None, *(w * factor for w in ctx.saved_tensors)
