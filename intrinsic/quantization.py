"""A frozen base in a quarter of the memory."""

import sys
from typing import Any

from torch import nn

from intrinsic.checks import check_module
from intrinsic.errors import UserError
from intrinsic.inject import find_head, parameter_slots, under
from intrinsic.int8 import Int8
from intrinsic.wrapper import forward_was_set


def quantize(model: nn.Module) -> nn.Module:
    """Keep the weights of linear layers as int8 (see `Int8`), in place; return the model, which is frozen.

    Every nn.Linear and Hugging Face Conv1D, but not the head, a layer that shares its weight, and one with a forward of
    its own. What is trained has to be something else: LoRA's factors, biases, the head.

    Raises:
        UserError: if no layer can be quantised, a weight is not finite, or the model has been quantised; it is then as
            it was.
    """
    check_module(model)
    if any(isinstance(module, Int8) for module in model.modules()):
        raise UserError("the model is int8 already")
    slots = parameter_slots(model)
    try:
        head = find_head(model)
    except UserError:
        head = None
    layers: dict[str, Any] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, kinds := _kinds())
        and type(module).forward in [kind.forward for kind in kinds]
        and not forward_was_set(module)
        and type(module.weight) is nn.Parameter
        and len(slots[id(module.weight)]) == 1
        and not (head and under(name, head))
    }
    if not layers:
        raise UserError(f"int8 needs an nn.Linear beside the head, {type(model).__name__} has none: take base=float32")
    for name, layer in layers.items():
        if not bool(layer.weight.isfinite().all()):
            raise UserError(f"int8 needs finite weights, {name}.weight has others: check the model's file")
    for name, layer in layers.items():
        Int8.store(layer, name)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def _kinds() -> tuple[type[nn.Module], ...]:
    """The layers that can be int8. A model has no Conv1D unless transformers has been imported."""
    hugging_face = sys.modules.get("transformers.pytorch_utils")
    return (nn.Linear, hugging_face.Conv1D) if hugging_face else (nn.Linear,)
