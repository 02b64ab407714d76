"""TinyLoRA: R of LoRA-XS from a few numbers."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.checks import check_memory, integer, number
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank
from intrinsic.layers.low_rank.conv1d import LowRankConv1D
from intrinsic.peft.layout import PREFIX, SEEDS, common_config, exact_pattern, exact_targets, factor_keys
from intrinsic.peft.peft_type import Adapter, WrittenPeftType
from intrinsic.peft.take_numbers import take_numbers
from intrinsic.peft.types.lora import TYPE as LORA
from intrinsic.spaces.lora_xs import LoRAXS
from intrinsic.subspace import Subspace

_A, _B, _P, _V = ".tinylora_A", ".tinylora_B", ".tinylora_P", "base_model.tinylora_v."


class Tinylora(WrittenPeftType):
    """B R A with R = sum_i v_i P_i; layers of a group share v. Read as LoRA, the same function: B and R A.

    PEFT has the roots of the singular values on both sides, we all of them on one, so that the same v is another
    function; but A, B and P are in the file, and ours fit there: P_i is what coordinate i does to a layer's R.
    """

    knobs = frozenset(
        {"r", "u", "weight_tying", "projection_seed", "save_projection", "init_v_bound", "tinylora_dropout"}
        | {"init_weights"}
    )
    needed = ("r", "u", "weight_tying", "projection_seed")

    def read(
        self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
    ) -> Adapter:
        """Factors of LoRA, of layers that the model has."""
        rest = dict(tensors)
        rank, count = (integer(knob, config[knob], 1, of="TinyLoRA") for knob in ("r", "u"))
        tied = number("weight_tying", config["weight_tying"], 0)
        shared = {key.removeprefix(_V): take_numbers(rest, key, 1, folder) for key in tensors if key.startswith(_V)}
        known = [name for name, _ in model.named_modules() if f"{PREFIX}{name}{_A}" in rest]
        ranks = {}
        groups = max(1, round(len(known) * (1 - min(tied, 1))))
        for place, name in enumerate(known):
            keys = [f"{PREFIX}{name}{end}" for end in (_A, _B, _P)]
            v = shared.get(str(min(place // max(1, len(known) // groups), groups - 1)))
            A = take_numbers(rest, keys[0], 2, folder)
            B = take_numbers(rest, keys[1], 2, folder) if keys[1] in rest else None
            P = take_numbers(rest, keys[2], 3, folder) if keys[2] in rest else self._draw(config, count, len(A), place)
            if B is None or v is None or P.shape != (len(v), len(A), len(A)) or B.shape[1] != len(A):
                raise UserError(
                    f"{folder} holds no numbers of TinyLoRA that fit {name}: load it around the model that it was made "
                    "for"
                )
            R = torch.einsum("i,ijk->jk", v.to(P.dtype), P)
            rest |= zip(factor_keys(name, embedding=False), ((R @ A.to(P.dtype)).contiguous(), B), strict=True)
            ranks[name] = len(A)
        same = exact_pattern(ranks, rank)  # a small matrix has less
        lora = {"r": rank, "lora_alpha": rank, "rank_pattern": same, "alpha_pattern": same}
        return LORA.read(model, lora | {"lora_dropout": config.get("tinylora_dropout", 0.0)}, rest, folder)

    @staticmethod
    def _draw(config: Mapping[str, Any], count: int, rank: int, place: int) -> Tensor:
        """P (count, rank, rank) of the layer at this place, as PEFT draws it."""
        seed = integer("projection_seed", config["projection_seed"], *SEEDS, of="TinyLoRA")
        check_memory(4 * count * rank**2, f"TinyLoRA of u={count:.4g}")
        generator = torch.Generator().manual_seed(min(seed + place, SEEDS[1]))
        return torch.normal(0.0, 1 / sqrt(max(rank, 1)), (count, rank, rank), generator=generator)

    def writes(self, net: Subspace) -> bool:
        """Anything between singular vectors."""
        return isinstance(net.space, LoRAXS)

    def write(self, net: Subspace, head: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All layers in one group, of d numbers."""
        assert isinstance(net.space, LoRAXS)
        if net.head == "project" or net.layer_of:
            raise UserError("PEFT's TinyLoRA has v for R alone: need a head that is trained beside it, and no scales")
        check_memory(4 * net.dim * net.full_dim, "TinyLoRA's P")
        if net.identity:
            P = torch.eye(net.dim)
            v = torch.cat([net.model.get_parameter(name).flatten() for name in net.coordinate_names])
        else:
            v, P = net.z, net.projection(torch.eye(net.dim, dtype=net.z.dtype, device=net.z.device))
        tensors = {f"{_V}0": v.float()}
        layers = {}
        for name, part in zip(net.coordinate_names, P.split(net.coordinate_sizes, -1), strict=True):
            layer = net.model.get_submodule(layer_name := name.removesuffix(".lora_R"))
            assert isinstance(layer, LowRank)
            layers[layer_name] = layer
            tensors[f"{PREFIX}{layer_name}{_A}"] = layer.lora_V
            tensors[f"{PREFIX}{layer_name}{_B}"] = layer.scaling * layer.lora_U
            tensors[f"{PREFIX}{layer_name}{_P}"] = part.unflatten(-1, layer.lora_R.shape)
        most = max(len(layer.lora_R) for layer in layers.values())
        for name, layer in layers.items():
            outputs, inputs = layer.lora_U.shape[0], layer.lora_V.shape[1]
            if len(layer.lora_R) != min(most, outputs, inputs):
                raise UserError(f"PEFT's TinyLoRA has one rank, here {most}, and {name} has {len(layer.lora_R)}")
        return tensors, {
            **common_config("TINYLORA", net.model, head),
            "r": most,
            "u": net.dim,
            "weight_tying": 1.0,
            "projection_seed": 0,  # of a P that the one in the file replaces
            "save_projection": True,
            "target_modules": exact_targets(list(layers), [name for name, _ in net.model.named_modules()]),
            "tinylora_dropout": net.space.dropout,
            "fan_in_fan_out": any(isinstance(layer, LowRankConv1D) for layer in layers.values()),
            "bias": "none",
        }


TYPE = Tinylora()
