"""Import of what PEFT wrote."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.checks import check_module
from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.layers.low_rank import kinds, part_names
from intrinsic.layers.low_rank.embedding import LowRankEmbedding
from intrinsic.peft.experts_format import split_experts
from intrinsic.peft.ia3_format import ia3_space, split_ia3
from intrinsic.peft.layout import OUT_PROJ, PREFIX, check_unshared, exact_pattern, exact_targets, factor_keys
from intrinsic.peft.read_adapter import read_adapter
from intrinsic.peft.vera_format import vera_as_lora
from intrinsic.spaces.base import Space
from intrinsic.spaces.lora import LoRA
from intrinsic.subspace import Subspace
from intrinsic.surgery.head import find_head, under
from intrinsic.surgery.targets import find_targets


def load_peft(model: nn.Module, folder: str | Path, *, seed: int = 0) -> Subspace:
    """The subspace (and the head, if it was trained) that PEFT's or `export_peft`'s folder holds.

    LoRA, with `target_parameters` of fused experts, and (IA)^3 as they are; VeRA as LoRA, the same function, of which
    more is trained. It can be trained on, merged and saved. Around the model that PEFT's adapter was trained on, it
    computes the same.

    Args:
        model: the base, whose layers are wrapped in place.
        folder: with adapter_config.json and adapter_model.safetensors.
        seed: of what is made beside what is read.

    Raises:
        UserError: if a file is missing, pickled or damaged, the adapter is of another kind or has what is not here
            (DoRA, biases, ...), or a key does not fit the model; `model` is then as it was.

    Examples:
        >>> import copy, tempfile, torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> net = intrinsic.Subspace(copy.deepcopy(model), space=intrinsic.LoRA(rank=2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     intrinsic.export_peft(net, folder)
        ...     intrinsic.load_peft(model, folder).space.rank
        2
    """
    check_module(model)
    config, tensors = read_adapter(expand_path(folder))
    if config["peft_type"] == "VERA":
        config, tensors = vera_as_lora(model, config, tensors, folder)
    head = _saved_head(model, config, tensors, folder)
    if config["peft_type"] == "IA3":
        scales, rest = split_ia3(tensors)
        space: Space = ia3_space(model, scales, folder)
        numbers = [scale.flatten() for scale in scales.values()]
    else:
        space, numbers, rest = _lora(model, config, tensors, folder)
    for key in rest:
        if head is None or not under(key, head):
            _check_base(model, key, rest[key], folder)
    net = Subspace(model, space=space, head=None if head is None else "train", seed=seed)
    with ExitStack() as undo:  # whatever stops it, an interrupt too
        undo.callback(net.unwrap)
        check_unshared(model)
        _fill(net, numbers, head, rest, folder)
        undo.pop_all()
    return net


def _lora(
    model: nn.Module, config: dict[str, Any], tensors: Mapping[str, Tensor], folder: str | Path
) -> tuple[LoRA, list[Tensor], dict[str, Tensor]]:
    """The space, its factors in the order in which `wire` has them, and the other tensors."""
    modules = dict(model.named_modules())
    factors, rest = _split(model, tensors)
    factors = _without_out_projections(factors, modules, folder)
    factors = split_experts(factors, modules, config.get("target_parameters") or (), folder)
    known = find_targets(model, ".*", tuple(kinds()), part_names)
    found = {_place(name, modules): name for name in factors}
    space = _space(model, config, found, known, folder)
    return space, [factor for place in known if place in found for factor in factors[found[place]]], rest


def _saved_head(
    model: nn.Module, config: dict[str, Any], tensors: Mapping[str, Tensor], folder: str | Path
) -> str | None:
    """The head's name if its weights are in the file."""
    saved = config.get("modules_to_save") or []
    if not isinstance(saved, list) or not all(isinstance(name, str) for name in saved):
        raise UserError(f"{folder} has modules_to_save={saved!r}, need a list of names: write it with PEFT")
    for wanted in saved:
        for name, _ in model.named_modules():
            if name and name.endswith(wanted) and any(under(key, PREFIX + name) for key in tensors):
                head = find_head(model)
                if name != head:
                    raise UserError(
                        f"{folder} holds a trained {name}, and here only the head ({head}) is trained beside LoRA: "
                        "load it with PEFT, and merge it"
                    )
                return head
    return None


def _split(model: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
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


def _check_base(model: nn.Module, key: str, tensor: Tensor, folder: str | Path) -> None:
    """Check a weight of the base, which PEFT writes when it thinks that it was changed."""
    own = model.state_dict(keep_vars=True).get(key.replace(".base_layer.", "."))
    if own is None or "lora_" in key or "ia3_" in key:
        raise UserError(
            f"{folder} has a key {PREFIX}{key} that does not fit {type(model).__name__}: load it around the model "
            "that it was made for"
        )
    if own.shape != tensor.shape or not torch.equal(own.detach().cpu(), tensor.to(own.dtype).cpu()):
        raise UserError(
            f"{folder} brings its own {key}, which is not the model's: put it into the model before (the vocabulary "
            "was changed, or it is another model)"
        )


def _without_out_projections(
    factors: Mapping[str, list[Tensor]], modules: Mapping[str, nn.Module], folder: str | Path
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
    config: dict[str, Any],
    places: Mapping[str, str],
    known: Mapping[str, nn.Module],
    folder: str | Path,
) -> LoRA:
    for place, name in places.items():
        if place not in known:
            raise UserError(
                f"{folder} updates {name}, and {type(model).__name__} has no such layer that LoRA fits: load it around "
                "the model that it was made for"
            )
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


def _fill(
    net: Subspace, numbers: list[Tensor], head: str | None, rest: Mapping[str, Tensor], folder: str | Path
) -> None:
    """Copy what was read into its places, once all of it fits."""
    own: dict[str, Tensor] = {name: net.model.get_parameter(name) for name in net.coordinate_names}
    read = dict(zip(own, numbers, strict=True))
    if head is not None:
        own |= {f"{head}.{key}": value for key, value in net.model.get_submodule(head).state_dict().items()}
        read |= {key: tensor for key, tensor in rest.items() if under(key, head)}
    for name in own | read:
        shapes = [tuple(tensors[name].shape) if name in tensors else "nothing" for tensors in (own, read)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"{folder} holds {shapes[1]} for {name}, and the model needs {shapes[0]}: load it around the model "
                "that it was made for"
            )
    for name, tensor in read.items():
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise UserError(f"{folder} holds {tensor.dtype} for {name}, need {own[name].dtype}: write it with PEFT")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(read[name])
        for layer in net.model.modules():
            if isinstance(layer, LowRankEmbedding) and layer.base.padding_idx is not None:
                layer.lora_padding.copy_(layer.lora_A[:, layer.base.padding_idx])
