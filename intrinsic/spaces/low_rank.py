"""Updates of chosen layers of low rank, whatever of them is trained."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import nn

from intrinsic import rng
from intrinsic.checks import integer, share
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank, expert_names, low_rank_experts, low_rank_parts
from intrinsic.layers.low_rank.parts import Parts
from intrinsic.spaces.base import Space
from intrinsic.surgery.patterns import compile_pattern
from intrinsic.surgery.targets import check_targets, layer_names
from intrinsic.surgery.tree import swap, unwrap


@dataclass(frozen=True)
class LowRankSpace(Space):
    """Numbers of W + s B A for each target; s = alpha / rank, or alpha / sqrt(rank) with `rslora`.

    A subclass says which layers are targets, what stands in their place, and which of its parameters are trained.

    Args:
        rank: r, the inner size of the factors. Of "all-linear", a matrix with room for less has as much as it has room
            for, so that gates of one output do not keep a model from LoRA; named targets without room are refused.
        alpha: the numerator of the scale.
        targets: see the subclass.
        rslora: rank-stabilised scaling.
        rank_pattern: ranks of some targets, by a regular expression for the end of their name, the first that matches;
            as PEFT reads it.
        alpha_pattern: their alphas, in the same way.
        dropout: the chance with which an input of A is dropped in training, drawn from torch's global random state.
    """

    constants: ClassVar[tuple[str, ...]] = ("rank", "alpha", "rslora", "rank_pattern", "alpha_pattern")
    factors: ClassVar[tuple[str, ...]]  # what is trained of each target

    rank: int
    alpha: float = 8.0
    targets: str | Sequence[str] = "all-linear"
    rslora: bool = False
    rank_pattern: Mapping[str, int] | None = None
    alpha_pattern: Mapping[str, float] | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check_rank("rank", self.rank)
        _check_alpha("alpha", self.alpha)
        if not isinstance(self.rslora, bool):
            raise UserError(f"need rslora to be true or false, got rslora={self.rslora}")
        check_targets(self.targets)
        share("dropout", self.dropout)
        for name, check in (("rank_pattern", _check_rank), ("alpha_pattern", _check_alpha)):
            pattern = getattr(self, name)
            if not isinstance(pattern, Mapping | None) or not all(isinstance(key, str) for key in pattern or ()):
                raise UserError(f"need {name} as regular expressions with a value each, or null, got {name}={pattern}")
            for key, value in (pattern or {}).items():
                check(f"{name}[{key!r}]", value)
                try:
                    compile_pattern(key)
                except UserError as error:
                    raise UserError(f"{name}: {error}") from None

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Wrap the targets and return what is trained of them: <target>.<factor>."""
        if any(isinstance(module, LowRank) and not module.kept for module in model.modules()):
            raise UserError("the model already has LoRA layers: merge them first, or keep them by unwrap(keep=True)")
        places = self._places(model)
        for name in ("rank_pattern", "alpha_pattern"):
            _check_used(name, getattr(self, name) or {}, list(places))
        room = self._room(places)
        names = layer_names(model)
        wrappers: list[tuple[nn.Module, LowRank]] = []
        pieces: dict[str, Any] = {}  # what holds the factors of a target
        for module in {id(module): module for module in places.values()}.values():
            name = names[id(module)]
            targets = [target for target, owner in places.items() if owner is module]
            settings = {target: (*self._scale(target, room), self._seed(seed, target)) for target in targets}
            try:
                if targets == [name]:
                    rank, scaling, own_seed = settings[name]
                    wrapper = self._layer(module, rank, scaling, own_seed)
                    pieces[name] = wrapper
                elif expert_names(module):
                    tensors = {target.removeprefix(name + "."): settings[target] for target in targets}
                    chain = low_rank_experts(module, tensors, dropout=self.dropout)
                    pieces |= {f"{name}.{wrapper.parameter}": wrapper for wrapper in chain}
                    wrappers += zip([module, *chain], chain, strict=False)
                    continue
                else:
                    parts = {target.removeprefix(name + "."): settings[target] for target in targets}
                    wrapper = low_rank_parts(module, parts, dropout=self.dropout)
                    pieces |= {f"{name}.{part}": wrapper.get_submodule(part) for part in parts}
            except UserError as error:
                raise UserError(f"{name}: {error}") from None
            wrappers.append((module, wrapper))
        for module, wrapper in wrappers:
            swap(model, module, wrapper)
        for target in places:
            if any(matches(key, target) for key in self.rank_pattern or ()):
                pieces[target].room = None  # whatever `rank` is
        full = {id(parameter): name for name, parameter in model.named_parameters()}
        factors = [getattr(pieces[target], factor) for target in places for factor in self.factors]
        return {full[id(factor)]: factor for factor in factors}

    @abstractmethod
    def _places(self, model: nn.Module) -> dict[str, nn.Module]:
        """Targets by name: layers, and what parts of a layer are targets of their own."""

    @abstractmethod
    def _layer(self, module: nn.Module, rank: int, scaling: float, seed: int) -> LowRank:
        """What stands in the place of a layer."""

    def _seed(self, seed: int, target: str) -> int:
        """Of what is drawn for a target."""
        return rng.fan_out(seed, target)

    def settings(self, target: str) -> tuple[int, float]:
        """Rank and alpha of a target, by its full name."""
        return _look_up(self.rank_pattern, target, self.rank), _look_up(self.alpha_pattern, target, self.alpha)

    def _room(self, places: Mapping[str, nn.Module]) -> dict[str, int]:
        """The largest rank by target where "all-linear" has found some with less room than others, such as gates."""
        if self.targets != "all-linear":
            return {}
        weights: dict[str, Any] = {name: module.weight for name, module in places.items()}
        room = {name: min(weight.shape) for name, weight in weights.items()}
        fixed = [name for name in room if any(matches(key, name) for key in self.rank_pattern or ())]
        return {name: size for name, size in room.items() if name not in fixed and max(room.values()) >= self.rank}

    def _scale(self, target: str, room: Mapping[str, int]) -> tuple[int, float]:
        rank, alpha = self.settings(target)
        rank = min(rank, room.get(target, rank))
        return rank, float(alpha / (rank**0.5 if self.rslora else rank))

    def largest_rank(self, model: nn.Module) -> int | None:
        """The largest `rank` for which a model has room: of "all-linear" that of its largest matrix, see `rank`."""
        own = [module for module in model.modules() if isinstance(module, LowRank) and not module.kept]
        pieces = [piece for layer in own for piece in (layer.parts.values() if isinstance(layer, Parts) else [layer])]
        rooms = [piece.room for piece in pieces if piece.room is not None]
        return (max if self.targets == "all-linear" else min)(rooms, default=None)

    def unwire(self, model: nn.Module) -> None:
        """Put the wrapped layers back, without their updates."""
        unwrap(model, LowRank)

    def merge(self, model: nn.Module) -> None:
        """Add the updates to the weights and put the plain layers back: no added latency.

        W + s B A is computed in float32 at least, and rounded once to the precision of W.

        Raises:
            UserError: if another layer shares an updated weight, which would change with it.
        """
        owners = [id(p) for module in model.modules() for p in module.parameters(recurse=False)]
        while layers := _innermost(model):
            for layer in layers:
                if owners.count(id(layer.target)) > 1:
                    raise UserError("cannot merge: a LoRA target shares its weight with another layer; untie it first")
            with torch.no_grad():
                for layer in layers:
                    layer.target.copy_(layer.weight)
            for layer in layers:
                swap(model, layer, layer.base)


def _innermost(model: nn.Module) -> list[LowRank]:
    """The wrappers that have none in them: of a model that stands on earlier ones, these come after the others."""
    layers = [module for module in model.modules() if isinstance(module, LowRank)]
    return [layer for layer in layers if not isinstance(layer.base, LowRank)]


def _look_up(pattern: Mapping[str, Any] | None, target: str, default: Any) -> Any:
    found = (value for key, value in (pattern or {}).items() if matches(key, target))
    return next(found, default)


def matches(key: str, target: str) -> bool:
    """Whether a key of a pattern means this target: a regular expression for its end, from a dot or the start on."""
    return re.match(rf"(.*\.)?({key})$", target) is not None


def _check_used(name: str, pattern: Mapping[str, Any], targets: list[str]) -> None:
    for key in pattern:
        if not any(matches(key, target) for target in targets):
            near = (get_close_matches(key, targets, n=1, cutoff=0.3) or targets)[0]
            raise UserError(f"{name}={key!r} matches none of the {len(targets)} targets, such as {near!r}")


def _check_rank(name: str, value: Any) -> None:
    integer(name, value, 1)


def _check_alpha(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not value > 0:  # type: ignore[operator]
        raise UserError(f"need alpha > 0, got {name}={value}")
