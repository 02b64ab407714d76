"""theta_0 + P z in one buffer, written in place."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from intrinsic.projections.base import Projection

_FIRST = 1 << 62  # a sequence number above all that autograd gives out


class Flat:
    """The weights theta_0 + P z as views of one buffer, which is written in place for every step.

    Nothing of the size of theta is split, added or allocated in a step, but for the gradients that autograd makes. The
    parameters themselves become views of one buffer with theta_0. A copy or a pickle of a `Flat` is None: whoever needs
    one makes it anew.

    Args:
        parameters: of one dtype, on one device; their values are theta_0.
        projection: P.
        stream: project each parameter's gradient as soon as autograd has it, and let go of it, where else all are
            collected and copied into a second buffer: 2 full_dim numbers less at the peak. P^T g is then a sum over the
            parameters, equal up to rounding.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], projection: Projection, *, stream: bool = False) -> None:
        self.projection, self._stream = projection, stream
        self._origin = torch.cat([p.detach().reshape(-1) for p in parameters])
        self._shapes = [p.shape for p in parameters]
        for parameter, view in zip(parameters, self._cut(self._origin), strict=True):
            parameter.data = view
        self._addresses = [p.data_ptr() for p in parameters]
        self._gradient: Tensor | None = None
        self._allocate()

    def _allocate(self) -> None:
        self._theta = torch.empty_like(self._origin)
        self._views = self._cut(self._theta)
        self._waiting = False  # whether a backward pass that needs theta is still to come

    def _cut(self, flat: Tensor) -> list[Tensor]:
        pieces = flat.split([shape.numel() for shape in self._shapes])
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def holds(self, parameters: Sequence[nn.Parameter]) -> bool:
        """Whether the parameters are still views of theta_0: a cast, a copy or an assignment moves them away."""
        return [p.data_ptr() for p in parameters] == self._addresses

    def weights(self, z: Tensor) -> tuple[Tensor, ...]:
        """theta_0 + P z, differentiable with respect to z; valid until the next call after their backward pass."""
        if self._waiting:
            self._allocate()
        if not self._stream or not z.requires_grad:
            return _Place.apply(z, self)
        self.projection.displace(z.detach(), self._origin, self._theta)
        self._waiting = True
        weights, low = [], 0
        for index, view in enumerate(self._views):
            weights.append(_PlaceOne.apply(z, self, index, low))
            # the engine runs what was recorded last first: these would all wait for the end of the backward pass
            weights[-1].grad_fn._set_sequence_nr(_FIRST)
            low += view.numel()
        return tuple(weights)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()


class _Place(torch.autograd.Function):
    """z -> the pieces of theta_0 + P z. No node saves a tensor, so that it may run once for each checkpointed part."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, flat: Flat) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.flat, ctx.theta, ctx.dtype = flat, flat._theta, z.dtype
        flat.projection.displace(z, flat._origin, flat._theta)
        flat._waiting = z.requires_grad
        return tuple(view.detach() for view in flat._views)  # they share theta's version: autograd sees an overwrite

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, None]:
        flat = ctx.flat
        if ctx.theta is flat._theta:
            flat._waiting = False
        pieces = [
            flat._origin.new_zeros(shape.numel()) if grad is None else grad.reshape(-1)
            for grad, shape in zip(grads, flat._shapes, strict=True)
        ]
        if torch.is_grad_enabled():  # the gradient of this gradient is asked for
            return flat.projection.adjoint(torch.cat(pieces)), None
        if flat._gradient is None:
            flat._gradient = torch.empty_like(flat._origin, dtype=ctx.dtype)
        return flat.projection.multiply(torch.cat(pieces, out=flat._gradient), transposed=True), None


class _PlaceOne(torch.autograd.Function):
    """z -> one piece of theta_0 + P z, which has been written already; its gradient: what this piece adds to P^T g."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, flat: Flat, index: int, low: int) -> Tensor:
        ctx.flat, ctx.theta, ctx.low = flat, flat._theta, low
        return flat._views[index].detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        flat, g = ctx.flat, grads[0].reshape(-1)
        if ctx.theta is flat._theta:
            flat._waiting = False
        if torch.is_grad_enabled():  # the gradient of this gradient is asked for
            return flat.projection.adjoint(pad(g, (ctx.low, len(flat._origin) - ctx.low - len(g)))), None, None, None
        return flat.projection.multiply_rows(g, ctx.low), None, None, None
