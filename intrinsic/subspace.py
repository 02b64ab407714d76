"""theta = theta_0 + P z around any module."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.inject import find_head, under
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
    trained numbers. With gradients on, every call computes the weights anew; without, they are computed once and kept
    until z changes. With the identity projection the space's parameters are trained as they are.

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
            coordinates, beside = _place_head(model, coordinates, head)
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
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in beside or (self._identity and name in coordinates))
        first = next(iter(coordinates.values()))
        self.model, self.projection = model, projection_.to(first.device)
        if not self._identity:
            dtype = torch.promote_types(first.dtype, torch.float32)  # half precision would lose small steps of z
            self.z = nn.Parameter(torch.zeros(projected, dtype=dtype, device=first.device))
        if self._layer_of:
            self.lambdas = nn.Parameter(torch.ones(max(self._layer_of) + 1, dtype=self.z.dtype, device=first.device))
        self._cache: tuple[list[int], list[Tensor], dict[str, Tensor]] | None = None

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

    def call(self, weights: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """What the model returns at these weights: those of `weights()`, for code that also needs them itself."""
        if self._identity:
            return self.model(*args, **kwargs)
        return functional_call(self.model, dict(weights), args, kwargs)

    def weights(self) -> dict[str, Tensor]:
        """theta_0 + P z by name: differentiable with gradients on; otherwise kept until z or theta_0 changes."""
        origin = {name: self.model.get_parameter(name) for name in self._names}
        if self._identity:
            return dict(origin)
        if torch.is_grad_enabled():
            return self._materialise(origin)
        versions = [parameter._version for parameter in origin.values()]
        now = [self.z, self.lambdas] if self._layer_of else [self.z]
        if self._cache is None or self._cache[0] != versions or not all(map(torch.equal, self._cache[1], now)):
            self._cache = (versions, [part.clone() for part in now], self._materialise(origin))
        return self._cache[2]

    def _materialise(self, origin: dict[str, nn.Parameter]) -> dict[str, Tensor]:
        offsets: tuple[Tensor, ...] = self.projection(self.z).split(self._sizes)
        if self._layer_of:
            offsets = tuple(offset * self.lambdas[layer] for offset, layer in zip(offsets, self._layer_of, strict=True))
        return {
            name: theta + offset.view_as(theta).to(theta.dtype)
            for (name, theta), offset in zip(origin.items(), offsets, strict=True)
        }

    def merge(self) -> nn.Module:
        """A copy of the model in its original architecture, with ordinary weights; the subspace stays as it is."""
        with torch.no_grad():
            weights = self.weights()
            plain = copy.deepcopy(self.model)
            for name, weight in weights.items():
                plain.get_parameter(name).copy_(weight)
            self.space.merge(plain)
        return plain.requires_grad_(True)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The trained parameters only: z and what is trained beside it; frozen weights are in `state_dict()`."""
        for name, parameter in super().named_parameters(prefix, recurse, remove_duplicate):
            if parameter.requires_grad or not name.removeprefix(prefix + "." * bool(prefix)).startswith("model."):
                yield name, parameter

    def count(self) -> dict[str, int]:
        """How many numbers: trained in all, dim of the space, full_dim, and the head's (trained as they are)."""
        trained = {name.removeprefix("model."): p.numel() for name, p in self.named_parameters()}
        try:
            head = find_head(self.model)
        except UserError:
            head = None
        in_head = sum(size for name, size in trained.items() if head is not None and under(name, head))
        assert self.dim is not None
        return {
            "trained": sum(trained.values()),
            "dim": int(self.dim),
            "full_dim": self.full_dim,
            "head": in_head,
        }

    def fingerprint(self) -> str:
        """A hash of P and of every frozen number: equal if the same z means the same model."""
        digest = hashlib.sha256(self.projection.fingerprint().encode())
        for name, parameter in self.model.named_parameters():
            if not parameter.requires_grad:
                digest.update(name.encode())
                digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "Subspace":
        self._cache = None
        super()._apply(fn, recurse)
        return self


def _place_head(
    model: nn.Module, coordinates: dict[str, nn.Parameter], mode: str | None
) -> tuple[dict[str, nn.Parameter], set[str]]:
    """The coordinates with the head put in or left out, and the names of what is trained beside them."""
    if mode is None:
        return coordinates, set()
    if mode not in ("project", "train", "freeze"):
        raise UserError(f"need head=project, train or freeze, got head={mode}")
    head = find_head(model)
    parameters = {name: p for name, p in model.named_parameters() if under(name, head)}
    if mode == "project":
        return coordinates | parameters, set()
    rest = {name: p for name, p in coordinates.items() if not under(name, head)}
    return rest, set(parameters) if mode == "train" else set()
