"""theta = theta_0 + P z around any module."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.fingerprint import fingerprint
from intrinsic.flat import Flat
from intrinsic.hosted import Hosted
from intrinsic.inject import head_parameters, parameter_slots, place_head
from intrinsic.int8 import check_frozen
from intrinsic.merge import merge
from intrinsic.placement import Placement
from intrinsic.projections.base import Projection, check_dim
from intrinsic.projections.granularity import Granularity, draw
from intrinsic.projections.identity import Identity
from intrinsic.projections.kernels.select import tracing
from intrinsic.scales import Scales, layers_of
from intrinsic.spaces.base import Space
from intrinsic.spaces.full import Full

HeadMode = Literal["project", "train", "freeze"]


class Subspace(Hosted):
    """A model of which only dim numbers are trained: theta = theta_0 + P z, z = 0 at the start.

    An ordinary module around `model`, which it changes in place: the rest is frozen, and `parameters()` yields just the
    trained numbers. P z is computed in every call with gradients on, and kept until z changes without. With the
    identity projection the space's parameters are trained as they are.

    The weights theta_0 + P z are in the places of the model's parameters for the time of a call and of its backward
    pass, which may run parts of the model again (activation checkpointing); at any other time theta_0 is.

    Args:
        model: any module.
        space: which numbers may move. None: all.
        projection: called as projection(dim, full_dim, seed=...): a Projection class, or a partial of one.
        dim: d, what is trained of the space in all. None: all of it (identity only).
        granularity: one P over all of theta ("global"), one for each tensor over the same z ("tensor"), or one for
            each tensor over a share of z ("block").
        scales: "layer" multiplies the offset of layer i by a learned lambda_i, and counts these among `dim` (SAID:
            Aghajanyan et al. 2020, arXiv:2012.13255, section 3). A layer is a module that owns parameters.
        head: the last layer is in theta whatever the space says ("project"), trained beside z ("train"), or neither
            ("freeze"). None: as the space says.
        stream: project the gradient of each weight and free it as soon as it is there (see `Flat`): less memory.
        seed: fans out into independent seeds for the space's initial values and for P.

    Raises:
        UserError: if the arguments do not fit each other or the model; the model is then as it was.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        space: Space | None = None,
        projection: Callable[..., Projection] = Identity,
        dim: int | None = None,
        granularity: Granularity = "global",
        scales: Literal["layer"] | None = None,
        head: HeadMode | None = None,
        stream: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.stream = stream
        self.space = Full() if space is None else space
        self.head, self.seed, self.granularity, self.scales = head, seed, granularity, scales
        self._make, self._identity = projection, projection is Identity or getattr(projection, "func", None) is Identity
        coordinates = self.space.wire(model, seed=rng.fan_out(seed, "space"))
        try:
            coordinates, beside = place_head(model, coordinates, head)
            coordinates = {name: p for name, p in coordinates.items() if p.numel()}
            self._names, self._sizes = list(coordinates), [p.numel() for p in coordinates.values()]
            self.full_dim = sum(self._sizes)
            if self.full_dim == 0:
                raise UserError("nothing to train: the space is empty once the head is set apart")
            check_frozen(model, coordinates.values())
            self.dim = check_dim(self.full_dim if dim is None and self._identity else dim)
            self._layer_of = layers_of(self._names, scales=scales, dim=self.dim, full_dim=self.full_dim)
            layers = max(self._layer_of, default=-1) + 1
            drawn = self.draw()
        except Exception:
            self.space.unwire(model)
            raise
        self._trained = beside | set(coordinates) if self._identity else beside
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self._trained)
        slots = parameter_slots(model)
        self._placement = Placement(model, {name: slots[id(parameter)] for name, parameter in coordinates.items()})
        first = next(iter(coordinates.values()))
        self.model, self.projection = model, drawn.to(first.device)
        if not self._identity:
            # half precision would lose small steps of z
            dtype = reduce(torch.promote_types, (p.dtype for p in coordinates.values()), torch.float32)
            self.z = nn.Parameter(torch.zeros(drawn.dim, dtype=dtype, device=first.device))
        if self._layer_of:
            self.lambdas = nn.Parameter(torch.ones(layers, dtype=self.z.dtype, device=first.device))
        self._flat: Flat | None = None
        self._keep_at_home()
        self.register_state_dict_pre_hook(_restore)
        self._cache: tuple[list[Tensor], list[Tensor]] | None = None  # coordinates and their offsets

    def draw(self) -> Projection:
        """P anew, from the seed: on the CPU."""
        seed, layers = rng.fan_out(self.seed, "projection"), max(self._layer_of, default=-1) + 1
        return draw(self._make, self.dim - layers, self._sizes, granularity=self.granularity, seed=seed)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns, at the weights theta_0 + P z."""
        return self.call(self.weights(), *args, **kwargs)

    def call(self, weights: Mapping[str, Tensor], /, *args: Any, **kwargs: Any) -> Any:
        """What the model returns at these weights: those of `weights()`, for code that also needs them itself."""
        if self._identity:
            return self.model(*args, **kwargs)
        return self._placement.call(self.model, weights, args, kwargs)

    def weights(self) -> dict[str, Tensor]:
        """theta_0 + P z by name: differentiable with gradients on; otherwise P z is kept until z changes.

        With gradients on they are views of one buffer (see `Flat`), but for tracers (torch.func, torch.compile) and
        parameters of several dtypes or devices: there they are new tensors, by differentiable steps.
        """
        origin = self._placement.parameters()
        if self._identity:
            return dict(origin)
        if torch.is_grad_enabled():
            flat = self._make_flat(list(origin.values()))
            if flat is not None:
                return dict(zip(origin, flat.weights(*self._coordinates()), strict=True))
        offsets = self._offsets() if torch.is_grad_enabled() else self._kept_offsets()
        return {
            name: (theta + offset.view_as(theta)).to(theta.dtype)
            for (name, theta), offset in zip(origin.items(), offsets, strict=True)
        }

    def _make_flat(self, parameters: list[nn.Parameter]) -> Flat | None:
        if any(map(tracing, self._coordinates())):
            return None
        if self._flat is None or not self._flat.holds(parameters):
            uniform = len({(p.dtype, p.device) for p in parameters}) == 1
            scales = Scales(self._layer_of, self._sizes) if self._layer_of else None
            self._flat = Flat(parameters, self.projection, scales=scales, stream=self.stream) if uniform else None
        return self._flat

    def _coordinates(self) -> list[Tensor]:
        return [self.z, self.lambdas] if self._layer_of else [self.z]

    def _offsets(self) -> list[Tensor]:
        offsets = self.projection(self.z).split(self._sizes)
        if not self._layer_of:
            return list(offsets)
        return [offset * self.lambdas[layer] for offset, layer in zip(offsets, self._layer_of, strict=True)]

    def _kept_offsets(self) -> list[Tensor]:
        now = self._coordinates()
        if self._cache is None or not all(map(torch.equal, self._cache[0], now)):
            self._cache = [part.clone() for part in now], self._offsets()
        return self._cache[1]

    @torch.no_grad()
    def merge(self, onto: nn.Module | Literal["dequantized"] | None = None) -> nn.Module:
        """A copy of the model in its original architecture, with ordinary weights; the subspace stays as it is.

        What no weight can hold, adapters and prefixes, is still in it: modules with ordinary weights of their own.

        Args:
            onto: what the update of an int8 layer is added to, and only for int8 bases: the original model, with the
                weights that were quantised, or "dequantized", the weights that training has seen.

        Raises:
            UserError: if the space cannot be merged, or `onto` does not fit.
        """
        return merge(self.model, self.weights(), self.space, onto)

    def count(self) -> dict[str, int]:
        """How many numbers: trained in all, dim of the space, full_dim, and the head's (trained as they are)."""
        try:
            head = head_parameters(self.model)
        except UserError:
            head = {}
        trained = list(self.named_parameters())
        return {
            "trained": sum(p.numel() for _, p in trained),
            "dim": int(self.dim),
            "full_dim": self.full_dim,
            "head": sum(p.numel() for name, p in trained if name.removeprefix("model.") in head),
        }

    def fingerprint(self, *, constants: bool = True) -> str:
        """A hash of P and of all else that is fixed: equal if the same z means the same model. See `fingerprint`."""
        return fingerprint(self.model, self.projection.fingerprint(), self._trained, constants=constants)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "Subspace":
        self._cache = self._flat = None
        before = {name: p.data for name, p in self._parameters.items() if p is not None}  # z and lambdas
        super()._apply(fn, recurse)
        for name, data in before.items():
            parameter = self._parameters[name]
            if parameter is not None and parameter.dtype in (torch.float16, torch.bfloat16):
                parameter.data = data.to(parameter.device)  # half precision would lose small steps
        return self


def _restore(net: Subspace, *_: Any) -> None:
    net._placement.restore()  # an exception in the backward pass leaves other weights in place
