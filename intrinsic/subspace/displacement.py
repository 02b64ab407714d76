"""The way from theta_0 and z to theta_0 + P z: the fastest that the moment allows."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from intrinsic.projections.base import Projection
from intrinsic.projections.kernels.select import is_tracing
from intrinsic.subspace.dense_gradient import with_dense_gradient
from intrinsic.subspace.flat import Flat
from intrinsic.subspace.layer_scales import Scales
from intrinsic.subspace.leaves import Leaves
from intrinsic.subspace.substitution import Substitution


class _Made(tuple[Tensor, ...]):
    """Weights, of which a copy or a pickle has none: they belong to a graph."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Made, ()


class Displacement:
    """The weights theta_0 + P z, or theta_0 + lambda * P z with a lambda for each layer, as tensors by name.

    Args:
        sizes: the number of weights of each tensor.
        layers: the layer of each tensor; empty without lambda.
        stream: see `Flat`.
    """

    def __init__(self, sizes: Sequence[int], layers: Sequence[int], *, stream: bool) -> None:
        self._sizes, self._layers, self.stream = list(sizes), list(layers), stream
        self.forget()

    def forget(self) -> None:
        """Let go of what is kept between calls."""
        self._flat: Flat | None = None
        self._made = _Made()  # by `_flat`, to be filled again; not in it: their graph refers to it
        self._kept: tuple[list[Tensor], list[Tensor]] | None = None  # coordinates and their offsets

    def weights(
        self, origin: Mapping[str, nn.Parameter], projection: Projection, *coordinates: Tensor
    ) -> dict[str, Tensor]:
        """theta_0 + P z by name, for the coordinates z, or z and lambda.

        With gradients on they are views of one buffer (see `Flat`), but for tracers (torch.func, torch.compile) and
        parameters of several dtypes or devices: there they are new tensors, by differentiable steps. Otherwise P z is
        kept until z changes.
        """
        if torch.is_grad_enabled():
            flat = self._make_flat(list(origin.values()), projection, coordinates)
            if flat is not None:
                return dict(zip(origin, self._fill(flat, *coordinates), strict=True))
            offsets = self._offsets(projection, *coordinates)
        else:
            offsets = self._kept_offsets(projection, coordinates)
        return {
            name: _moved(theta, offset.view_as(theta))
            for (name, theta), offset in zip(origin.items(), offsets, strict=True)
        }

    def leaves(
        self, model: nn.Module, held: Substitution, projection: Projection, z: Tensor, *lambdas: Tensor
    ) -> Leaves | None:
        """The weights as leaves of the graph; None where they would not be trained as those of `weights` are."""
        if lambdas or self.stream or not Leaves.suit(model, list(held.parameters().values()), z):
            return None
        return Leaves(model, held, projection, z)

    def _make_flat(
        self, parameters: list[nn.Parameter], projection: Projection, coordinates: Sequence[Tensor]
    ) -> Flat | None:
        if any(map(is_tracing, coordinates)) or not any(part.requires_grad for part in coordinates):
            return None
        flat = self._flat
        if flat is None or not flat.holds(parameters, projection):
            uniform = len({(p.dtype, p.device) for p in parameters}) == 1
            scales = Scales(self._layers, self._sizes) if self._layers else None
            flat = Flat(parameters, projection, scales=scales, stream=self.stream) if uniform else None
            self._flat, self._made = flat, _Made()
        return flat

    def _fill(self, flat: Flat, z: Tensor, *lambdas: Tensor) -> tuple[Tensor, ...]:
        made = self._made  # another thread may put others in their place
        if not made or not flat.again(made, z):
            made = _Made(flat.weights(z, *lambdas))
            self._made = made if z.is_leaf and not lambdas and not self.stream else _Made()
        return made

    def _offsets(self, projection: Projection, z: Tensor, lambdas: Tensor | None = None) -> list[Tensor]:
        offsets = projection(z).split(self._sizes)
        if lambdas is None:
            return list(offsets)
        return [offset * lambdas[layer] for offset, layer in zip(offsets, self._layers, strict=True)]

    def _kept_offsets(self, projection: Projection, now: Sequence[Tensor]) -> list[Tensor]:
        kept = self._kept  # another thread may put another in its place
        if kept is None or not all(map(torch.equal, kept[0], now)):
            self._kept = kept = [part.clone() for part in now], self._offsets(projection, *now)
        return kept[1]


def _moved(theta: Tensor, offset: Tensor) -> Tensor:
    moved = (theta + offset).to(theta.dtype)
    return with_dense_gradient(moved) if moved.requires_grad and not is_tracing(moved) else moved
