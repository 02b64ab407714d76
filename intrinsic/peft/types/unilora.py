"""Uni-LoRA, read as LoRA."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intrinsic.checks import check_memory, integer
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import kinds
from intrinsic.peft.layout import PREFIX, factor_keys
from intrinsic.peft.peft_type import Adapter, PeftType
from intrinsic.peft.take_numbers import take_numbers
from intrinsic.peft.types.lora import TYPE as LORA
from intrinsic.surgery.targets import check_targets, find_targets

_ENDS = tuple(f".unilora_{what}_{factor}" for factor in "AB" for what in ("indices", "scales"))


class Unilora(PeftType):
    """Each entry of A and B is an entry of theta over the root of how many it moves. Read as LoRA, the same function.

    PEFT's has no signs and no start: A and B are theta alone, which starts at random. Here A starts as LoRA's, and P z
    is added: another function of the same numbers. Where the file has no indices, they are drawn as PEFT draws them, by
    numpy from `proj_seed`, for A and then B of each layer in the model's order.
    """

    knobs = frozenset(
        {"r", "theta_d_length", "proj_seed", "unilora_dropout", "init_theta_d_bound", "init_weights", "save_indices"}
    )
    needed = ("r", "theta_d_length", "proj_seed", "target_modules")

    def read(
        self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
    ) -> Adapter:
        """Factors of LoRA, of layers that the model has."""
        rest = dict(tensors)
        rank, length = (integer(knob, config[knob], 1, of="Uni-LoRA") for knob in ("r", "theta_d_length"))
        key = next((key for key in tensors if ".unilora_theta_d" in key), None)
        theta = None if key is None else take_numbers(rest, key, 1, folder)
        if theta is None or len(theta) != length:
            raise UserError(f"{folder} holds no theta of {length} numbers: write it with PEFT's save_pretrained")
        saved = [name for name, _ in model.named_modules() if f"{PREFIX}{name}{_ENDS[0]}" in rest]
        if saved:
            parts = {name: _saved(rest, name, length, folder) for name in saved}
        else:
            parts = _drawn(model, config, rank, length, folder)
        for name, (places_a, scale_a, places_b, scale_b) in parts.items():
            factors = theta[places_a] * scale_a, theta[places_b] * scale_b
            rest |= zip(factor_keys(name, embedding=False), factors, strict=True)
        lora = {"r": rank, "lora_alpha": rank, "lora_dropout": config.get("unilora_dropout", 0.0)}
        return LORA.read(model, lora, rest, folder)


TYPE = Unilora()


def _saved(rest: dict[str, Tensor], name: str, length: int, folder: object) -> list[Tensor]:
    """Indices and scales of A, and those of B, that are in the file."""
    found = []
    for places, scales in (_ENDS[:2], _ENDS[2:]):
        index = rest.pop(f"{PREFIX}{name}{places}", torch.empty(0))
        scale = take_numbers(rest, f"{PREFIX}{name}{scales}", 2, folder)
        whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
        if not whole or index.shape != scale.shape or not ((index >= 0) & (index < length)).all():
            raise UserError(
                f"{folder} needs for each scale of {name}, {tuple(scale.shape)}, the place of one of {length} numbers: "
                "write it with PEFT's save_pretrained"
            )
        found += [index.long(), scale]
    return found


def _drawn(
    model: nn.Module, config: Mapping[str, Any], rank: int, length: int, folder: object
) -> dict[str, list[Tensor]]:
    """Indices and scales of each target, drawn."""
    for knob in ("layers_to_transform", "exclude_modules"):
        if config.get(knob):
            raise UserError(f"{folder} has {knob} and no indices: write it with PEFT's save_indices=True")
    check_targets(config["target_modules"])
    targets = find_targets(model, config["target_modules"], tuple(kinds()))
    sizes = {name: _size(layer) for name, layer in targets.items()}
    total = sum(rank * (outputs + inputs) for outputs, inputs in sizes.values())
    check_memory(24 * total, f"Uni-LoRA of r={rank:.4g}")
    random = np.random.default_rng(integer("proj_seed", config["proj_seed"], 0, of="Uni-LoRA"))
    drawn = np.repeat(np.arange(length), total // length)
    if total % length:
        drawn = np.concatenate([drawn, random.choice(length, size=total % length, replace=False)])
    random.shuffle(drawn)
    counts = np.maximum(np.bincount(drawn, minlength=length), 1)
    scales, indices = torch.from_numpy(counts).float().rsqrt(), torch.from_numpy(drawn)
    found: dict[str, list[Tensor]] = {}
    start = 0
    for name, (outputs, inputs) in sizes.items():
        found[name] = []
        for shape in ((rank, inputs), (outputs, rank)):
            places = indices[start : start + shape[0] * shape[1]].view(shape)
            found[name] += [places, scales[places]]
            start += places.numel()
    return found


def _size(layer: nn.Module) -> tuple[int, int]:
    """(out, in)."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    outputs, inputs = weight.shape if isinstance(layer, nn.Linear) else weight.T.shape
    return outputs, inputs
