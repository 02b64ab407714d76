"""Low-rank updates of a model under PEFT's names."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank
from intrinsic.layers.low_rank.attention import AttentionParts
from intrinsic.layers.low_rank.embedding import LowRankEmbedding
from intrinsic.layers.low_rank.experts import LowRankExperts
from intrinsic.peft.layout import OUT_PROJ, check_convolution, factor_keys


class Update(NamedTuple):
    """Factors A and B of a layer, and the scale of their product."""

    A: Tensor
    B: Tensor
    scaling: float
    embedding: bool = False
    rank: int | None = None  # of an expert, where A holds those of all
    parameter: str | None = None  # the full name of the tensor of a mixture's experts


def lora_updates(model: nn.Module) -> dict[str, Update]:
    """The updates by PEFT's name for the module.

    Raises:
        UserError: if PEFT computes another function from them.
    """
    found: dict[str, Update] = {}
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
        check_convolution(name, module.base)
        A = module.factor() if isinstance(module, LowRankEmbedding) else module.lora_A
        found[name] = Update(A, module.lora_B, module.scaling, isinstance(module, LowRankEmbedding))
    for name in attentions:
        if name + OUT_PROJ in found:
            raise UserError(
                f"PEFT adds an update of {name}.out_proj twice, as seen in 0.21: leave it out of targets, or write it "
                "with intrinsic.save"
            )
        if name in found:
            A = found[name].A
            found[name + OUT_PROJ] = Update(torch.zeros_like(A), A.new_zeros(A.shape[1], len(A)), found[name].scaling)
    return found


def _of_experts(name: str, module: LowRankExperts, model: nn.Module) -> tuple[str, Update]:
    """PEFT's name and its layout: A (experts r, in), B (out, r experts)."""
    A, B = module.lora_A, module.lora_B
    depth = name
    while isinstance(model.get_submodule(depth.rpartition(".")[0]), LowRankExperts):
        depth = depth.rpartition(".")[0]
    update = Update(
        A.flatten(0, 1),
        B.permute(1, 2, 0).flatten(1),
        module.scaling,
        rank=A.shape[1],
        parameter=f"{depth}.{module.parameter}",
    )
    return depth + name.removeprefix(depth).replace(".base", ".base_layer"), update


def update_factors(updates: dict[str, Update]) -> Iterator[tuple[str, Tensor]]:
    """Their factors by PEFT's keys."""
    for name, update in updates.items():
        yield from zip(factor_keys(name, embedding=update.embedding), (update.A, update.B), strict=True)
