"""Gradients as other steps need them: not sparse, as that of an nn.Embedding(sparse=True)."""

from typing import Any

import torch
from torch import Tensor


def with_dense_gradient(x: Tensor) -> Tensor:
    """x, whose gradient is `dense`."""
    return _WithDenseGradient.apply(x)


def dense(grad: Tensor) -> Tensor:
    """The gradient, not sparse."""
    return grad if grad.layout == torch.strided else grad.to_dense()


class _WithDenseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return dense(grads[0])
