"""The weights theta_0 + P z in one buffer, written in place."""

import threading
from collections.abc import Sequence
from functools import partial
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from intrinsic.projections.base import Projection
from intrinsic.projections.repeated_products import RepeatedProducts
from intrinsic.subspace.buffer import Buffer
from intrinsic.subspace.dense_gradient import dense
from intrinsic.subspace.layer_scales import Scales
from intrinsic.surgery.optimizer_internals import has_hooks
from intrinsic.surgery.torch_internals import keeps_graph, renumber, version, when_backward_ends

_FIRST = 1 << 62  # a sequence number above all that autograd gives out


class Flat:
    """The weights theta_0 + P z as views of one buffer, which is written in place for every step.

    Nothing of the size of theta is allocated in a step, but for the gradients that autograd makes. The parameters stay
    as they are: theta_0 is read from them. Several threads may call at once: a buffer whose backward pass is still to
    come is left to it, and backward passes with scales take turns. A copy or a pickle of a `Flat` is None: whoever
    needs one makes it anew.

    Args:
        parameters: of one dtype, on one device; their values are theta_0.
        projection: P.
        scales: of each layer's offset: the weights are theta_0 + lambda * P z, and P z has a buffer of its own.
        stream: project each parameter's gradient as soon as autograd has it, and let go of it, where else all are
            collected, and copied into a second buffer if scales or kernels want it: 1 or 2 full_dim numbers less at the
            peak. P^T g is then a sum over the parameters, equal up to rounding.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        projection: Projection,
        *,
        scales: Scales | None = None,
        stream: bool = False,
    ) -> None:
        self.projection, self.scales, self._stream = projection, scales, stream
        self._origin: list[Tensor] = list(parameters)
        self._shapes = [p.shape for p in parameters]
        self._like = parameters[0].detach().new_empty(0)
        self._size = sum(shape.numel() for shape in self._shapes)
        self._gradient: Tensor | None = None
        self._forward, self._backward = threading.Lock(), threading.Lock()
        self._allocate()

    def _allocate(self) -> None:
        buffer = Buffer(self._origin)
        self._theta, self._views = buffer.whole, buffer.views
        self._offset: Tensor | None = None
        self._waiting = False  # whether a backward pass that needs theta is still to come

    def holds(self, parameters: Sequence[nn.Parameter], projection: Projection) -> bool:
        """Whether this is of P, and theta_0 still in these parameters, of the same dtype and on the same device."""
        if projection is not self.projection or len(parameters) != len(self._origin):
            return False
        same, dtype, device = map(is_, parameters, self._origin), self._like.dtype, self._like.device
        return all(same) and all(new.dtype == dtype and new.device == device for new in parameters)

    def weights(self, z: Tensor, lambdas: Tensor | None = None) -> tuple[Tensor, ...]:
        """The weights, differentiable with respect to z or lambda; valid until the next call after their last backward.

        One that keeps the graph, for gradients of gradients or of another loss, is not the last.
        """
        with self._forward:
            if self._waiting:
                self._allocate()
            if not self._stream or not z.requires_grad:
                return _Place.apply(z, lambdas, self)
            with torch.no_grad():
                self._displace(z, lambdas)
            self._waiting = True
            weights, low = [], 0
            for index, view in enumerate(self._views):
                weights.append(_PlaceOne.apply(z, lambdas, self, index, low))
                # the engine runs what was recorded last first: these would all wait for the end of the backward pass
                renumber(weights[-1].grad_fn, _FIRST)
                low += view.numel()
            return tuple(weights)

    def again(self, made: Sequence[Tensor], z: Tensor) -> bool:
        """Write theta_0 + P z into weights that this has made of the same z before; whether that could be.

        It cannot if a backward pass is still to come, or if somebody has put something on them: a hook, an operation in
        place. Their step of the graph saves nothing that changes, so that it stands for every pass.
        """
        with self._forward:
            node: Any = made[0].grad_fn
            if self._waiting or getattr(node, "theta", None) is not self._theta or not _are_of(made, node, z):
                return False
            if node.products is None:
                node.products = RepeatedProducts(self.projection, z, self._origin, self._theta, self._views)
            node.products.displace()
            self._waiting = True
            return True

    def _displace(self, z: Tensor, lambdas: Tensor | None) -> None:
        if self.scales is None or lambdas is None:
            self.projection.displace_pieces(z, self._origin, self._theta)
            return
        if self._offset is None:
            self._offset = self._theta.new_empty(self._size, dtype=z.dtype)
        self.projection.displace(z, z.detach()[:0], self._offset)
        self.scales.displace(lambdas, self._offset, self._origin, self._views)

    def pull_back(self, ctx: Any, pieces: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The gradients of z and lambda for that of theta, in pieces. Without autograd."""
        if self.scales is None and ctx.products is None:
            return self.projection.multiply_pieces(pieces, out=torch.empty_like(ctx.z)), None
        with self._backward:
            if self.scales is None:
                return ctx.products.multiply(pieces), None
            if self._gradient is None:
                self._gradient = self._theta.new_empty(self._size, dtype=ctx.z.dtype)
            g = torch.cat([piece.reshape(-1) for piece in pieces], out=self._gradient)
            found = self.scales.pull_back(ctx.lambdas, ctx.offset, g)
            return self.projection.multiply(g, transposed=True), found

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()


def _note(ctx: Any, z: Tensor, lambdas: Tensor | None, flat: Flat) -> None:
    ctx.flat, ctx.theta, ctx.offset, ctx.z, ctx.lambdas = flat, flat._theta, flat._offset, z, lambdas
    ctx.kind, ctx.versions, ctx.products = (z.dtype, z.device), _versions(ctx), None
    ctx.made = None if lambdas is None else version(z)


def _are_of(made: Sequence[Tensor], node: Any, z: Tensor) -> bool:
    """Whether weights are as a step of the graph has made them of z."""
    same = node.z is z and node.kind == (z.dtype, z.device)
    return same and all(w.grad_fn is node and not w.retains_grad for w in made) and not has_hooks(*made)


def _versions(ctx: Any) -> list[int]:
    return [version(tensor) for tensor in (ctx.offset, ctx.lambdas) if tensor is not None]


def _checked(ctx: Any) -> Flat:
    flat: Flat = ctx.flat
    if ctx.versions != _versions(ctx):
        raise RuntimeError("lambda or P z, which gradients need, has been overwritten by a later step")
    return flat


def _let_go(flat: Flat, theta: Tensor) -> None:
    """No step of a backward pass reads theta any more."""
    if theta is flat._theta:
        flat._waiting = False


def _adjoint(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor | None]:
    """The gradients of z and lambda for that of theta, as differentiable steps."""
    projection, scales = ctx.flat.projection, ctx.flat.scales
    if ctx.lambdas is None:
        return projection.adjoint(g), None
    if ctx.made != version(ctx.z):
        raise RuntimeError("z, which gradients of gradients need, has been overwritten by a later step")
    return projection.adjoint(g * scales.spread(ctx.lambdas)), scales.gather(g * projection(ctx.z))


class _Place(torch.autograd.Function):
    """z -> the pieces of the weights. No node saves a tensor, so that it may run once for each checkpointed part."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, lambdas: Tensor | None, flat: Flat) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        flat._displace(z, lambdas)
        flat._waiting = any(ctx.needs_input_grad)
        _note(ctx, z, lambdas, flat)
        return tuple(view.detach() for view in flat._views)  # they share theta's version: autograd sees an overwrite

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, Tensor | None, None]:
        flat = _checked(ctx)
        if not keeps_graph():
            _let_go(flat, ctx.theta)  # it waits for the gradients of all pieces
        pieces = [
            flat._like.new_zeros(shape) if grad is None else dense(grad)
            for grad, shape in zip(grads, flat._shapes, strict=True)
        ]
        if torch.is_grad_enabled():  # the gradient of this gradient is asked for
            return *_adjoint(ctx, torch.cat([piece.reshape(-1) for piece in pieces])), None
        return *flat.pull_back(ctx, pieces), None


class _PlaceOne(torch.autograd.Function):
    """z -> one piece of the weights, which has been written already; its gradient: what this piece adds to P^T g."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, lambdas: Tensor | None, flat: Flat, index: int, low: int) -> Tensor:
        _note(ctx, z, lambdas, flat)
        ctx.index, ctx.low = index, low
        return flat._views[index].detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        flat, g, low = _checked(ctx), dense(grads[0]).reshape(-1), ctx.low
        if not keeps_graph():
            when_backward_ends(partial(_let_go, flat, ctx.theta))  # steps that read other pieces are still to come
        if torch.is_grad_enabled():  # the gradient of this gradient is asked for
            return *_adjoint(ctx, pad(g, (low, flat._size - low - len(g)))), None, None, None
        found, to_z = None, flat.projection.multiply_rows(g, low)
        if flat.scales is not None:
            layer = flat.scales.layers[ctx.index]
            found = torch.zeros_like(ctx.lambdas)
            found[layer] = g.to(found.dtype).dot(ctx.offset[low : low + len(g)])
            to_z *= ctx.lambdas[layer]
        return to_z, found, None, None, None
