"""theta = theta_0 + P z around any module."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from numbers import Integral
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.inject import head_parameters, parameter_slots, place_head
from intrinsic.projections.base import Projection
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.identity import Identity
from intrinsic.projections.stacked import Stacked
from intrinsic.spaces.base import Space
from intrinsic.spaces.full import Full

Granularity = Literal["global", "tensor", "block"]
HeadMode = Literal["project", "train", "freeze"]


class Subspace(nn.Module):
    """A model of which only dim numbers are trained: theta = theta_0 + P z, z = 0 at the start.

    An ordinary module around `model`, which it changes in place: the rest is frozen, and `parameters()` yields just the
    trained numbers. P z is computed in every call with gradients on, and kept until z changes without. With the
    identity projection the space's parameters are trained as they are.

    The weights are put in place for the call alone. What runs the model again in the backward pass, activation
    checkpointing, would see theta_0: a model that has it switched on (Hugging Face's `gradient_checkpointing`) is
    refused with any other projection, and a model that calls `torch.utils.checkpoint` by itself must not be used.

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
        seed: int = 0,
    ) -> None:
        super().__init__()
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
            self.dim = self.full_dim if dim is None and self._identity else dim
            self._layer_of, projected = self._count_scales(scales)
            projection_ = self._draw(projected)
        except Exception:
            self.space.unwire(model)
            raise
        self._trained = beside | set(coordinates) if self._identity else beside
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self._trained)
        slots = parameter_slots(model)
        self._slots = {name: slots[id(parameter)] for name, parameter in coordinates.items()}
        first = next(iter(coordinates.values()))
        self.model, self.projection = model, projection_.to(first.device)
        if not self._identity:
            # half precision would lose small steps of z
            dtype = reduce(torch.promote_types, (p.dtype for p in coordinates.values()), torch.float32)
            self.z = nn.Parameter(torch.zeros(projected, dtype=dtype, device=first.device))
        if self._layer_of:
            self.lambdas = nn.Parameter(torch.ones(max(self._layer_of) + 1, dtype=self.z.dtype, device=first.device))
        self._cache: tuple[list[Tensor], list[Tensor]] | None = None  # coordinates and their offsets

    def _count_scales(self, scales: str | None) -> tuple[list[int], int]:
        """The layer of each tensor (none without scales), and the number of coordinates left for z."""
        if scales not in (None, "layer"):
            raise UserError(f"need scales=layer or none, got scales={scales}")
        if scales is None or self.dim is None:
            return [], self.dim  # type: ignore[return-value]  # a missing dim is refused by the projection
        if self._identity:
            raise UserError("scales=layer needs a projection with a dim, not the identity")
        layers = [name.rpartition(".")[0] for name in self._names]
        distinct = list(dict.fromkeys(layers))
        if not isinstance(self.dim, Integral):
            raise UserError(f"need an integer dim, got dim={self.dim!r}")
        if self.dim <= len(distinct):
            raise UserError(f"scales=layer takes {len(distinct)} of dim: need a larger dim, got dim={self.dim}")
        return [distinct.index(layer) for layer in layers], self.dim - len(distinct)

    def _draw(self, dim: int) -> Projection:
        seed = rng.fan_out(self.seed, "projection")
        if self.granularity == "global":
            return self._make(dim, self.full_dim, seed=seed)
        if self.granularity not in ("tensor", "block"):
            raise UserError(f"need granularity=global, tensor or block, got granularity={self.granularity}")
        return (Stacked if self.granularity == "tensor" else BlockDiagonal)(self._make, dim, self._sizes, seed=seed)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns, at the weights theta_0 + P z."""
        return self.call(self.weights(), *args, **kwargs)

    def call(self, weights: Mapping[str, Tensor], /, *args: Any, **kwargs: Any) -> Any:
        """What the model returns at these weights: those of `weights()`, for code that also needs them itself.

        Raises:
            UserError: if the model has activation checkpointing switched on, whose second pass would not see them.
        """
        if self._identity:
            return self.model(*args, **kwargs)
        if self.training and any(getattr(module, "gradient_checkpointing", False) for module in self.model.modules()):
            raise UserError("activation checkpointing would see theta_0: call model.gradient_checkpointing_disable()")
        slots = {slot: weight for name, weight in weights.items() for slot in self._slots[name]}
        return functional_call(self.model, slots, args, kwargs, tie_weights=False)

    def weights(self) -> dict[str, Tensor]:
        """theta_0 + P z by name: differentiable with gradients on; otherwise P z is kept until z changes."""
        origin = {name: self.model.get_parameter(name) for name in self._names}
        if self._identity:
            return dict(origin)
        offsets = self._offsets() if torch.is_grad_enabled() else self._kept_offsets()
        return {
            name: theta + offset.view_as(theta).to(theta.dtype)
            for (name, theta), offset in zip(origin.items(), offsets, strict=True)
        }

    def _offsets(self) -> list[Tensor]:
        offsets = self.projection(self.z).split(self._sizes)
        if not self._layer_of:
            return list(offsets)
        return [offset * self.lambdas[layer] for offset, layer in zip(offsets, self._layer_of, strict=True)]

    def _kept_offsets(self) -> list[Tensor]:
        now = [self.z, self.lambdas] if self._layer_of else [self.z]
        if self._cache is None or not all(map(torch.equal, self._cache[0], now)):
            self._cache = [part.clone() for part in now], self._offsets()
        return self._cache[1]

    def merge(self) -> nn.Module:
        """A copy of the model in its original architecture, with ordinary weights; the subspace stays as it is."""
        with torch.no_grad():
            weights = self.weights()
            plain = copy.deepcopy(self.model)
            for name, weight in weights.items():
                plain.get_parameter(name).copy_(weight)
            self.space.merge(plain)
        for parameter in plain.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        return plain

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The trained parameters only: z and what is trained beside it; frozen weights are in `state_dict()`."""
        for name, parameter in super().named_parameters(prefix, recurse, remove_duplicate):
            own = name.removeprefix(prefix + "." * bool(prefix))
            if not own.startswith("model.") or own.removeprefix("model.") in self._trained:
                yield name, parameter

    def count(self) -> dict[str, int]:
        """How many numbers: trained in all, dim of the space, full_dim, and the head's (trained as they are)."""
        try:
            head = head_parameters(self.model)
        except UserError:
            head = {}
        trained = list(self.named_parameters())
        assert self.dim is not None
        return {
            "trained": sum(p.numel() for _, p in trained),
            "dim": int(self.dim),
            "full_dim": self.full_dim,
            "head": sum(p.numel() for name, p in trained if name.removeprefix("model.") in head),
        }

    def fingerprint(self) -> str:
        """A hash of P and of every frozen number: equal if the same z means the same model."""
        digest = hashlib.sha256(self.projection.fingerprint().encode())
        for name, parameter in self.model.named_parameters():
            if name not in self._trained:
                digest.update(name.encode())
                digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "Subspace":
        self._cache = None
        before = {name: p.data for name, p in self._parameters.items() if p is not None}  # z and lambdas
        super()._apply(fn, recurse)
        for name, data in before.items():
            parameter = self._parameters[name]
            if parameter is not None and parameter.dtype in (torch.float16, torch.bfloat16):
                parameter.data = data.to(parameter.device)  # half precision would lose small steps
        return self
