"""theta = theta_0 + P z around any module."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intrinsic import rng
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.layers.int8 import check_frozen
from intrinsic.projections.base import Projection
from intrinsic.projections.device_draws.draw_on import draw_on
from intrinsic.projections.granularity import Granularity, draw
from intrinsic.projections.identity import Identity
from intrinsic.spaces.base import Space
from intrinsic.spaces.full import Full
from intrinsic.subspace.alone import alive, check_alone
from intrinsic.subspace.check_model import check_model, check_parameters, warn_of_references
from intrinsic.subspace.compatibility import Compatible
from intrinsic.subspace.count import count
from intrinsic.subspace.displacement import Displacement
from intrinsic.subspace.fingerprint import fingerprint
from intrinsic.subspace.frozen import Frozen
from intrinsic.subspace.layer_scales import layers_of
from intrinsic.subspace.leaves import Leaves
from intrinsic.subspace.merge import merge
from intrinsic.subspace.places import Put
from intrinsic.subspace.recurrent import take_turns
from intrinsic.subspace.substitution import Substitution
from intrinsic.subspace.unwrap import unwrap
from intrinsic.surgery.as_it_was import as_it_was
from intrinsic.surgery.head import HeadMode, place_head
from intrinsic.surgery.torch_internals import version
from intrinsic.surgery.tree import parameter_slots


class Subspace(Compatible):
    """A model of which only dim numbers are trained: theta = theta_0 + P z, z = 0 at the start.

    An ordinary module around `model`, which it changes in place: the rest is frozen, `parameters()` are those trained.
    A call of the net, and its backward pass, finds theta_0 + P z in the places of the model's parameters. Everybody
    else finds theta_0: several threads may call, and several nets that train z alone may stand around one model.

    Args:
        model: any module.
        space: which numbers may move. None: all.
        projection: called as projection(dim, full_dim, seed=...): a Projection class, or a partial of one.
        dim: d, what is trained of the space in all. None: all of it (identity only).
        granularity: one P over theta ("global"), or one a tensor, over all of z ("tensor") or a share ("block").
        scales: "layer" multiplies the offset of layer i by a learned lambda_i, and counts these among `dim` (SAID:
            Aghajanyan et al. 2020, arXiv:2012.13255, section 3). A layer is a module that owns parameters.
        head: the last layer is in theta whatever the space says ("project"), trained beside z ("train"), or neither
            ("freeze"). None: as the space says.
        stream: project the gradient of each weight and free it as soon as it is there (see `Flat`): less memory.
        seed: fans out into independent seeds for the space's initial values and for P; projection_seed: P's alone.

    Attributes:
        coordinate_names: of the model's parameters that theta holds, in order; coordinate_sizes and _shapes: of each.
        layer_of: of each of these the layer whose lambda scales it; empty without `scales`.
        trained_names: of the model's parameters that are trained as they are: beside z, or in its stead.
        make_projection: `projection` as given; identity: whether the space's parameters are trained as they are.
        frozen: what is not trained, and has to stay so: with some of it thawed, calls with gradients are refused.

    Raises:
        UserError: if the arguments do not fit each other or the model; the model is then as it was.

    Examples:
        >>> import torch, intrinsic
        >>> net = intrinsic.Subspace(torch.nn.Linear(20, 5), projection=intrinsic.Fastfood, dim=10)
        >>> [tuple(parameter.shape) for parameter in net.parameters()]
        [(10,)]
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
        projection_seed: int | None = None,
    ) -> None:
        super().__init__()
        space = Full() if space is None else space
        check_model(model, space, projection)
        self.model, self.space, self.training = model, space, model.training
        self.head, self.granularity, self.scales, self.seed = head, granularity, scales, seed
        self.projection_seed = seed if projection_seed is None else integer("projection_seed", projection_seed, 0)
        self.make_projection, self.identity = projection, getattr(projection, "func", projection) is Identity
        before = set(model.modules())
        self.flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        with as_it_was(model):
            coordinates = self.space.wire(model, seed=rng.fan_out(seed, "space"))
            coordinates, beside = place_head(model, coordinates, head)
            coordinates = {name: p for name, p in coordinates.items() if p.numel()}
            self.coordinate_names, self.coordinate_sizes = list(coordinates), [p.numel() for p in coordinates.values()]
            if not self.coordinate_sizes:
                raise UserError("nothing to train: the space is empty once the head is set apart")
            self.coordinate_shapes = [tuple(p.shape) for p in coordinates.values()]
            self.full_dim = sum(self.coordinate_sizes)
            check_frozen(model, coordinates.values())
            self.dim = integer("dim", self.full_dim if dim is None and self.identity else dim)
            self.layer_of = layers_of(self.coordinate_names, scales=scales, dim=self.dim, full_dim=self.full_dim)
            self.trained_names = beside | set(coordinates) if self.identity else beside
            check_parameters(model, self.trained_names, () if self.identity else self.coordinate_names)
            self._changes = bool(self.trained_names) or self.moves_base
            check_alone(before, changes=self._changes or before != set(model.modules()))
            warn_of_references(model, [] if self.identity else coordinates.values())
            first = next(iter(coordinates.values()))
            self.projection = draw_on(first.device)(self.draw)().to(first.device)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name in self.trained_names)
            self.frozen = Frozen(model, self.trained_names)
            slots = parameter_slots(model)
            self._slots = {name: slots[id(parameter)] for name, parameter in coordinates.items()}
            self._others = {name: slots[id(model.get_parameter(name))] for name in sorted(beside)}
            if not self.identity:  # half precision would lose small steps of z
                dtype = reduce(torch.promote_types, (p.dtype for p in coordinates.values()), torch.float32)
                self.z = nn.Parameter(torch.zeros(self.projection.dim, dtype=dtype, device=first.device))
            if self.layer_of:
                self.lambdas = nn.Parameter(torch.ones(max(self.layer_of) + 1, dtype=self.z.dtype, device=first.device))
            self._moves = Displacement(self.coordinate_sizes, self.layer_of, stream=stream)
            self._keep_at_home()
            self._substitution: Substitution | None = None
            self._places()

    def draw(self, seed: int | None = None) -> Projection:
        """P anew, from its seed, or from another one: on the CPU, or where `draw_on` says."""
        seed = rng.fan_out(self.projection_seed, "projection") if seed is None else seed
        dim = self.dim - max(self.layer_of, default=-1) - 1
        options: Any = {"granularity": self.granularity, "shapes": self.coordinate_shapes, "zero": self.zero_rows}
        return draw(self.make_projection, dim, self.coordinate_sizes, seed=seed, **options)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns, at the weights theta_0 + P z."""
        return self.model(*args, **kwargs) if self.is_under_way() else self.call(self.weights(), *args, **kwargs)

    def call(self, weights: Mapping[str, Tensor], /, *args: Any, **kwargs: Any) -> Any:
        """What the model returns at these weights: those of `weights()`, for code that also needs them itself."""
        return self.run(self.model, weights, *args, **kwargs)

    def run(self, function: Callable[..., Any], weights: Mapping[str, Tensor], /, *args: Any, **kwargs: Any) -> Any:
        """What the model, or a function that calls parts of it, returns at these weights."""
        if self.identity:
            with Put({}):  # no other net's weights
                return function(*args, **kwargs)
        state = tuple((id(part), version(part)) for part in self._coordinates()) if torch.is_grad_enabled() else ()
        return self._places().call(function, weights, args, kwargs, state=state)

    def is_under_way(self) -> bool:
        """Whether what stands in the place of `forward` runs in this thread, and finds theta_0 + P z."""
        return self.is_replaced and not self.identity and self._places().is_under_way()

    @contextmanager
    def at(self, weights: Mapping[str, Tensor]) -> Iterator[nn.Module]:
        """The model, in whose places this thread finds these weights: those of `weights()`."""
        with Put({}) if self.identity else self._places().put(weights):
            yield self.model

    def weights(self) -> dict[str, Tensor]:
        """theta_0 + P z by name, see `Displacement`: differentiable with gradients on, else kept until z changes.

        Raises:
            UserError: if modules or parameters were put into the model since the Subspace was made, or some thawed.
        """
        origin = self._places().parameters()
        if torch.is_grad_enabled():
            self.frozen.check()
        return dict(origin) if self.identity else self._moves.weights(origin, self.projection, *self._coordinates())

    def leaves(self) -> Leaves | None:
        """theta_0 + P z for a loop that is alone with the model, see `Leaves`; None if only `weights` will do."""
        if self.identity or type(self).weights is not Subspace.weights or type(self).call is not Subspace.call:
            return None
        self.frozen.check()
        return self._moves.leaves(self.model, self._places(), self.projection, *self._coordinates())

    def _places(self) -> Substitution:
        if self._substitution is None:  # in a copy, too
            self._substitution = Substitution(self.model, self._slots, self._others)
            if not self.identity:
                take_turns(self.model)
            alive[self] = self._changes
        return self._substitution

    def _coordinates(self) -> list[Tensor]:
        return [self.z, self.lambdas] if self.layer_of else [self.z]

    def unwrap(self, *, keep: bool = False) -> nn.Module:
        """The model as before, but for `trained_names`; to `keep`: frozen, as trained, for another. The net ends."""
        return unwrap(self, keep=keep)

    @torch.no_grad()
    def merge(self, onto: nn.Module | Literal["dequantized"] | None = None) -> nn.Module:
        """A copy of the model in its original architecture: ordinary weights, and modules for what no weight can hold.

        Args:
            onto: for int8 bases, what the update is added to: the original model, or "dequantized": what was seen.

        Raises:
            UserError: if the space cannot be merged, or `onto` does not fit.
        """
        return merge(self.model, self.weights(), self.space, onto)

    def count(self) -> dict[str, int]:
        """How many numbers: trained in all, dim of the space, full_dim, and the head's (trained as they are)."""
        return count(self)

    def fingerprint(self, *, constants: bool = True, bits: bool = True) -> str:
        """A hash of P, by `bits` or as older files, and of all else that is fixed: equal if z means the same model."""
        return fingerprint(self.model, self.projection.fingerprint(bits=bits), self.trained_names, constants=constants)
