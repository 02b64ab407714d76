"""(IA)^3 in PEFT's format."""

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from intrinsic.layers.rescaled import Rescaled
from intrinsic.peft.layout import PREFIX
from intrinsic.surgery.transformers_internals import name_or_path


def ia3_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The scales by PEFT's name: (1, in) of inputs, (out, 1) of outputs."""
    return {
        f"{PREFIX}{name}.ia3_l": module.ia3_l.view((1, -1) if module.inputs else (-1, 1))
        for name, module in _layers(model).items()
    }


def ia3_config(model: nn.Module, head: str | None) -> dict[str, Any]:
    """adapter_config.json."""
    layers = _layers(model)
    return {
        "peft_type": "IA3",
        "task_type": None,
        "base_model_name_or_path": name_or_path(getattr(model, "config", None)),
        "target_modules": _exactly(list(layers)),
        "feedforward_modules": _exactly([name for name, module in layers.items() if module.inputs]),
        "fan_in_fan_out": any(not isinstance(module.base, nn.Linear) for module in layers.values()),
        "modules_to_save": None if head is None else [head],
        "inference_mode": True,
    }


def _layers(model: nn.Module) -> dict[str, Rescaled]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Rescaled)}


def _exactly(names: Sequence[str]) -> str | list[str]:
    """These names and no other: PEFT takes an item of a list for the end of any name."""
    return "|".join(re.escape(name) for name in names) or []
