"""LoRA, with `target_parameters` of fused experts."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank import kinds, part_names
from intrinsic.layers.low_rank.conv1d import LowRankConv1D
from intrinsic.peft.experts_format import split_experts
from intrinsic.peft.layout import (
    OUT_PROJ,
    PREFIX,
    check_convolution,
    common_config,
    exact_pattern,
    exact_targets,
    factor_keys,
)
from intrinsic.peft.lora_updates import Update, lora_updates, update_factors
from intrinsic.peft.peft_type import Adapter, WrittenPeftType
from intrinsic.spaces.lora import LoRA
from intrinsic.spaces.low_rank import LowRankSpace
from intrinsic.subspace import Subspace
from intrinsic.surgery.targets import find_targets


class Lora(WrittenPeftType):
    """B A of each layer; of ours whatever has low-rank updates, as it is at z."""

    knobs = frozenset(
        {"r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "lora_dropout", "target_parameters"}
        | {"init_lora_weights", "corda_config", "eva_config", "loftq_config", "lora_ga_config"}
    )
    needed = ("r", "lora_alpha")

    def read(
        self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
    ) -> Adapter:
        """The factors of each layer that the model has."""
        modules = dict(model.named_modules())
        factors, rest = _split(tensors)
        factors = _without_out_projections(factors, modules, folder)
        factors = split_experts(factors, modules, config.get("target_parameters") or (), folder)
        known = find_targets(model, ".*", tuple(kinds()), part_names)
        found = {_place(name, modules): name for name in factors}
        space = _space(model, config, found, known, folder)
        return Adapter(space, [factor for place in known if place in found for factor in factors[found[place]]], rest)

    def writes(self, net: Subspace) -> bool:
        """All spaces of low-rank updates."""
        return isinstance(net.space, LowRankSpace)

    def write(self, net: Subspace, head: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The factors by PEFT's names."""
        assert isinstance(net.space, LowRankSpace)
        updates = lora_updates(net.model)
        return dict(update_factors(updates)), _config(net.space, updates, net.model, head)


TYPE = Lora()


def _split(tensors: Mapping[str, Tensor]) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
    """Factors (A, B) by PEFT's name for the module, and the other tensors by their names in the model."""
    rest = dict(tensors)
    factors: dict[str, list[Tensor]] = {}
    for key in tensors:
        for embedding in (False, True):
            end = factor_keys("", embedding=embedding)[0].removeprefix(PREFIX)
            name = key.removeprefix(PREFIX).removesuffix(end)
            keys = factor_keys(name, embedding=embedding)
            if key == keys[0] and keys[1] in tensors:
                factors[name] = [rest.pop(one) for one in keys]
    return factors, {key.removeprefix(PREFIX): tensor for key, tensor in rest.items()}


def _without_out_projections(
    factors: Mapping[str, list[Tensor]], modules: Mapping[str, nn.Module], folder: object
) -> dict[str, list[Tensor]]:
    """The factors less those of nn.MultiheadAttention's output projection, which PEFT always writes."""
    outer = [name for name in factors if isinstance(modules.get(name.removesuffix(OUT_PROJ)), nn.MultiheadAttention)]
    found = {name: pair for name, pair in factors.items() if not (name in outer and name.endswith(OUT_PROJ))}
    for name in sorted(factors.keys() - found.keys()):
        if factors[name][1].any():
            raise UserError(
                f"{folder} updates {name.replace('.base_layer', '')}, which PEFT adds twice, as seen in 0.21: load it "
                "with PEFT, and merge it"
            )
    return found


def _place(name: str, modules: Mapping[str, nn.Module]) -> str:
    """Our name for what PEFT updates under this name."""
    return name + ".in_proj" if isinstance(modules.get(name), nn.MultiheadAttention) else name


def _space(
    model: nn.Module,
    config: Mapping[str, Any],
    places: Mapping[str, str],
    known: Mapping[str, nn.Module],
    folder: object,
) -> LoRA:
    for place, name in places.items():
        if place not in known:
            raise UserError(
                f"{folder} updates {name}, and {type(model).__name__} has no such layer that LoRA fits: load it around "
                "the model that it was made for"
            )
        check_convolution(name, known[place])
    if not places:
        raise UserError(f"{folder} holds no LoRA factors: write it with PEFT's save_pretrained")
    default = LoRA(
        config["r"],
        config["lora_alpha"],
        rslora=config.get("use_rslora", False),
        rank_pattern=config.get("rank_pattern"),
        alpha_pattern=config.get("alpha_pattern"),
        dropout=config.get("lora_dropout", 0.0),
    )
    both = {place: default.settings(name) for place, name in places.items()}
    ranks, alphas = ({place: pair[i] for place, pair in both.items()} for i in (0, 1))
    return LoRA(
        default.rank,
        default.alpha,
        targets=exact_targets(list(places), list(known)),
        rslora=default.rslora,
        rank_pattern=exact_pattern(ranks, default.rank) or None,
        alpha_pattern=exact_pattern(alphas, default.alpha) or None,
        dropout=default.dropout,
    )


def _scale(space: LowRankSpace) -> float:
    return float(space.alpha / (math.sqrt(space.rank) if space.rslora else space.rank))


def _config(space: LowRankSpace, updates: dict[str, Update], model: nn.Module, head: str | None) -> dict[str, Any]:
    """adapter_config.json, with what it takes to make the same layers; PEFT has defaults for the rest."""
    experts = [update for update in updates.values() if update.parameter is not None]
    named = {name: update for name, update in updates.items() if not name.endswith(OUT_PROJ)}
    targets = {name: update for name, update in named.items() if update.parameter is None}
    if any((update.rank, update.scaling) != (space.rank, _scale(space)) for update in experts):
        raise UserError("PEFT has one rank and alpha for all experts: need those without patterns, or intrinsic.save")
    ranks = {name: len(update.A) for name, update in targets.items()}
    alphas = {}
    for name, update in targets.items():
        alpha = update.scaling * (math.sqrt(ranks[name]) if space.rslora else ranks[name])
        alphas[name] = space.alpha if math.isclose(alpha, space.alpha, rel_tol=1e-12) else alpha
    return {
        **common_config("LORA", model, head),
        "r": space.rank,
        "lora_alpha": space.alpha,
        "target_modules": exact_targets(list(targets), [name for name, _ in model.named_modules()]),
        **({"target_parameters": [str(update.parameter) for update in experts]} if experts else {}),
        "rank_pattern": exact_pattern(ranks, space.rank),
        "alpha_pattern": exact_pattern(alphas, space.alpha),
        "use_rslora": space.rslora,
        "fan_in_fan_out": any(isinstance(module, LowRankConv1D) for module in model.modules()),
        "lora_dropout": space.dropout,
        "bias": "none",
    }
