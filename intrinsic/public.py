"""The public names, each with the module that it comes from."""

from importlib import import_module
from typing import Any

HOME = {
    "Subspace": "intrinsic.subspace",
    "Redrawn": "intrinsic.subspace.redrawn",
    "Identity": "intrinsic.projections.identity",
    "Dense": "intrinsic.projections.dense",
    "Sparse": "intrinsic.projections.sparse",
    "Fastfood": "intrinsic.projections.fastfood",
    "Kronecker": "intrinsic.projections.kronecker",
    "KroneckerSum": "intrinsic.projections.kronecker_sum",
    "DCT": "intrinsic.projections.dct",
    "Trajectory": "intrinsic.projections.trajectory",
    "OneHot": "intrinsic.projections.onehot",
    "Select": "intrinsic.projections.select",
    "Full": "intrinsic.spaces.full",
    "Head": "intrinsic.spaces.head",
    "BitFit": "intrinsic.spaces.bitfit",
    "Norms": "intrinsic.spaces.norms",
    "LoRA": "intrinsic.spaces.lora",
    "LoRAXS": "intrinsic.spaces.lora_xs",
    "VeRA": "intrinsic.spaces.vera",
    "IA3": "intrinsic.spaces.ia3",
    "Adapter": "intrinsic.spaces.adapter",
    "Prefix": "intrinsic.spaces.prefix",
    "Prompt": "intrinsic.spaces.prompt",
    "Union": "intrinsic.spaces.union",
    "Bank": "intrinsic.serving.bank",
    "quantize": "intrinsic.layers.int8",
    "optimizer_step": "intrinsic.training.optimizer_step",
    "zero_grad": "intrinsic.training.optimizer_step",
    "save": "intrinsic.subspace.checkpoint",
    "load": "intrinsic.subspace.checkpoint",
    "export_peft": "intrinsic.peft.export_peft",
    "load_peft": "intrinsic.peft.load_peft",
    "estimate_threshold": "intrinsic.threshold",
    "Threshold": "intrinsic.threshold",
    "propose": "intrinsic.threshold",
    "compare_thresholds": "intrinsic.threshold",
    "Comparison": "intrinsic.threshold",
    "UserError": "intrinsic.errors",
}


def public(name: str) -> Any:
    """What a public name stands for, imported now.

    Raises:
        KeyError: if there is no such name.
    """
    return getattr(import_module(HOME[name]), name)
