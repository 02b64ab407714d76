"""Export in PEFT's format."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_together
from intrinsic.files.expand_path import expand_path
from intrinsic.layers.low_rank import LowRank
from intrinsic.layers.low_rank.attention import AttentionParts
from intrinsic.layers.low_rank.conv1d import LowRankConv1D
from intrinsic.layers.low_rank.embedding import LowRankEmbedding
from intrinsic.layers.low_rank.experts import LowRankExperts
from intrinsic.peft.ia3_format import ia3_config, ia3_tensors
from intrinsic.peft.layout import CONFIG, OUT_PROJ, WEIGHTS, check_unshared, exact_pattern, exact_targets, factor_keys
from intrinsic.spaces.ia3 import IA3
from intrinsic.spaces.low_rank import LowRankSpace
from intrinsic.subspace import Subspace
from intrinsic.surgery.head import find_head, under
from intrinsic.surgery.transformers_internals import name_or_path
from intrinsic.surgery.tree import parameter_slots


class _Update(NamedTuple):
    A: Tensor
    B: Tensor
    scaling: float
    embedding: bool = False
    rank: int | None = None  # of an expert, where A holds those of all
    parameter: str | None = None  # the full name of the tensor of a mixture's experts


def export_peft(net: Subspace, folder: str | Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, for PEFT's `PeftModel.from_pretrained(model, folder)`.

    Of spaces with low-rank updates (lora, lora_xs, vera) as LoRA, of ia3 as (IA)^3.
    Factors that come from a projection are written as they are at z. A head that was trained is in `modules_to_save`.
    PEFT has no updates of parts of a matrix: those of q, k and v become one update of the whole, of the rank of all
    parts together and with a block-diagonal B, which is the same function (and, trained further, another experiment).
    PEFT wraps nn.MultiheadAttention with its output projection, whose update is written as zero.
    Buffers, such as BatchNorm's statistics, have no place in the format.
    A kill leaves the adapter that was there, the new one, or no adapter_config.json; other files in the folder stay.

    Raises:
        UserError: if the space has no such updates or scales, the head shares weights or has updates, attention's
            output projection has one (PEFT computes another function from it), or the folder cannot be written.

    Examples:
        >>> import os, tempfile, torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> net = intrinsic.Subspace(model, space=intrinsic.LoRA(rank=2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     intrinsic.export_peft(net, folder)
        ...     sorted(os.listdir(folder))
        ['adapter_config.json', 'adapter_model.safetensors']
    """
    if not isinstance(net, Subspace):
        raise UserError(f"need an intrinsic.Subspace, got {type(net).__name__}")
    space, folder = net.space, expand_path(folder)
    if not isinstance(space, LowRankSpace | IA3):
        raise UserError(
            f"PEFT's format holds space=lora or ia3, got space={type(space).__name__}: write it with intrinsic.save, "
            "or the whole model after merge()"
        )
    check_unshared(net.model)
    head = _trained_head(net)
    with torch.no_grad(), net.at(net.weights()):
        if isinstance(space, IA3):
            tensors, config = ia3_tensors(net.model), ia3_config(net.model, head)
        else:
            updates = _updates(net.model)
            tensors, config = dict(_factors(updates)), _config(space, updates, net.model, head)
        if head is not None:
            state = net.model.get_submodule(head).state_dict()
            tensors |= {f"base_model.model.{head}.{name}": tensor.clone() for name, tensor in state.items()}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(config, indent=2) + "\n"
    write_together(  # no reader takes weights without a configuration
        {
            folder / WEIGHTS: lambda path: save_file(contiguous, path, {"format": "pt"}),
            folder / CONFIG: lambda path: path.write_text(text),
        },
        remedy="give another folder",
    )


def _trained_head(net: Subspace) -> str | None:
    if net.head not in ("project", "train"):
        return None
    head = find_head(net.model)
    for name, module in net.model.named_modules():
        if isinstance(module, LowRank) and (under(name, head) or under(head, name)):
            raise UserError(f"PEFT cannot train the head {head} and update it with LoRA: leave it out of targets")
    inside = {id(parameter) for parameter in net.model.get_submodule(head).parameters()}
    slots = [slot for key, held in parameter_slots(net.model).items() if key in inside for slot in held]
    others = [slot for slot in slots if not under(slot, head)]
    if others:
        raise UserError(f"PEFT would untie the head {head} from {others[0]}: untie it first, or use intrinsic.save")
    return head


def _updates(model: nn.Module) -> dict[str, _Update]:
    """The updates by PEFT's name for the module."""
    found: dict[str, _Update] = {}
    attentions = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention | AttentionParts):
            attentions.add(name.removesuffix(".base"))
        if not isinstance(module, LowRank):
            continue
        if module.kept:
            raise UserError("the model stands on LoRA of its own, and a PEFT file holds one: use intrinsic.save")
        owner = name.rpartition(".")[0]
        if name.endswith(".out_proj") and owner.removesuffix(".base") in attentions:
            name = owner.removesuffix(".base") + OUT_PROJ
        if isinstance(module, LowRankExperts):
            found |= dict([_of_experts(name, module, model)])
            continue
        A = module.factor() if isinstance(module, LowRankEmbedding) else module.lora_A
        found[name] = _Update(A, module.lora_B, module.scaling, isinstance(module, LowRankEmbedding))
    for name in attentions:
        if name + OUT_PROJ in found:
            raise UserError(
                f"PEFT adds an update of {name}.out_proj twice, as seen in 0.21: leave it out of targets, or write it "
                "with intrinsic.save"
            )
        if name in found:
            A = found[name].A
            found[name + OUT_PROJ] = _Update(torch.zeros_like(A), A.new_zeros(A.shape[1], len(A)), found[name].scaling)
    return found


def _of_experts(name: str, module: LowRankExperts, model: nn.Module) -> tuple[str, _Update]:
    """PEFT's name and its layout: A (experts r, in), B (out, r experts)."""
    A, B = module.lora_A, module.lora_B
    depth = name
    while isinstance(model.get_submodule(depth.rpartition(".")[0]), LowRankExperts):
        depth = depth.rpartition(".")[0]
    update = _Update(
        A.flatten(0, 1),
        B.permute(1, 2, 0).flatten(1),
        module.scaling,
        rank=A.shape[1],
        parameter=f"{depth}.{module.parameter}",
    )
    return depth + name.removeprefix(depth).replace(".base", ".base_layer"), update


def _factors(updates: dict[str, _Update]) -> Iterator[tuple[str, Tensor]]:
    for name, update in updates.items():
        yield from zip(factor_keys(name, embedding=update.embedding), (update.A, update.B), strict=True)


def _scale(space: LowRankSpace) -> float:
    return float(space.alpha / (math.sqrt(space.rank) if space.rslora else space.rank))


def _config(space: LowRankSpace, updates: dict[str, _Update], model: nn.Module, head: str | None) -> dict[str, Any]:
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
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": name_or_path(getattr(model, "config", None)),
        "r": space.rank,
        "lora_alpha": space.alpha,
        "target_modules": exact_targets(list(targets), [name for name, _ in model.named_modules()]),
        **({"target_parameters": [str(update.parameter) for update in experts]} if experts else {}),
        "rank_pattern": exact_pattern(ranks, space.rank),
        "alpha_pattern": exact_pattern(alphas, space.alpha),
        "use_rslora": space.rslora,
        "fan_in_fan_out": any(isinstance(module, LowRankConv1D) for module in model.modules()),
        "lora_dropout": space.dropout,
        "modules_to_save": None if head is None else [head],
        "bias": "none",
        "inference_mode": True,
    }
