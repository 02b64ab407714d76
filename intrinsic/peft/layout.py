"""The layout of PEFT's files: names, and what its patterns can say exactly."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank
from intrinsic.layers.rescaled import Rescaled
from intrinsic.surgery.transformers_internals import name_or_path

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
SEEDS = -(2**63), 2**63 - 1  # that torch's generators take
OUT_PROJ = ".base_layer.out_proj"  # of a wrapped nn.MultiheadAttention, which PEFT updates with the input projection


def factor_keys(module: str, *, embedding: bool) -> tuple[str, str]:
    """The keys of A and B of a module."""
    kind, end = ("lora_embedding_", "") if embedding else ("lora_", ".weight")
    return f"{PREFIX}{module}.{kind}A{end}", f"{PREFIX}{module}.{kind}B{end}"


def common_config(kind: str, model: nn.Module, head: str | None) -> dict[str, Any]:
    """What adapter_config.json of every type has."""
    return {
        "peft_type": kind,
        "task_type": None,
        "base_model_name_or_path": name_or_path(getattr(model, "config", None)),
        "modules_to_save": None if head is None else [head],
        "inference_mode": True,
    }


def exact_targets(names: Sequence[str], others: Sequence[str]) -> list[str] | str:
    """Targets that mean these names and none of `others`: a list, or a regular expression if one is a suffix."""
    if any(other.endswith("." + name) for other in others for name in names):
        return "|".join(re.escape(name) for name in names)
    return list(names)


def exact_pattern(values: Mapping[str, Any], default: Any) -> dict[str, Any]:
    """A rank or alpha pattern that gives these values by name, where they are not the default."""
    return {"^" + re.escape(name): value for name, value in values.items() if value != default}


def check_unshared(model: nn.Module) -> None:
    """Check that each layer with an update has one name.

    Raises:
        UserError: if one has two, of which PEFT would update the first alone.
    """
    names: dict[int, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, LowRank | Rescaled):
            other = names.setdefault(id(module), name)
            if other != name:
                raise UserError(f"PEFT updates {other} but not its other name {name}: use intrinsic.save and load")


def check_convolution(name: str, layer: nn.Module) -> None:
    """Check that PEFT convolves with A as LoRA here does, as the layer itself does with its weight.

    Raises:
        UserError: if not: PEFT leaves out the layer's dilation and its padding mode (as seen in 0.21), and computes
            what no update of the weight does, until it merges the adapter.
    """
    if not isinstance(layer, nn.Conv2d):
        return
    dilated = any(size > 1 and step > 1 for size, step in zip(layer.kernel_size, layer.dilation, strict=True))
    padded = layer.padding_mode != "zeros" and layer.padding not in ("valid", (0, 0))
    if dilated or padded:
        kind = f"dilation={layer.dilation}" if dilated else f"padding_mode={layer.padding_mode}"
        raise UserError(
            f"PEFT convolves with A without the {kind} of {name}, as seen in 0.21, which is another function: leave it "
            "out of targets, write it with intrinsic.save, or merge it where it was trained"
        )
