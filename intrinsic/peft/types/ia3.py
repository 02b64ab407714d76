"""(IA)^3."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.rescaled import Rescaled
from intrinsic.layers.rescaled_places import rescalable
from intrinsic.peft.layout import PREFIX, common_config, exact_targets
from intrinsic.peft.peft_type import Adapter, WrittenPeftType
from intrinsic.spaces.ia3 import IA3
from intrinsic.subspace import Subspace

_END = ".ia3_l"


class Ia3(WrittenPeftType):
    """Scales of a layer's inputs (1, in) or outputs (out, 1)."""

    knobs = frozenset({"feedforward_modules", "init_ia3_weights"})

    def read(
        self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: object
    ) -> Adapter:
        """The scales, of layers that the model has."""
        scales, rest = _split(tensors)
        space = _space(model, scales, folder)
        return Adapter(space, [scale.flatten() for scale in scales.values()], rest)

    def writes(self, net: Subspace) -> bool:
        """(IA)^3."""
        return isinstance(net.space, IA3)

    def write(self, net: Subspace, head: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The scales by PEFT's names."""
        layers = _layers(net.model)
        tensors = {
            f"{PREFIX}{name}{_END}": module.ia3_l.view((1, -1) if module.inputs else (-1, 1))
            for name, module in layers.items()
        }
        return tensors, {
            **common_config("IA3", net.model, head),
            "target_modules": _exactly(list(layers)),
            "feedforward_modules": _exactly([name for name, module in layers.items() if module.inputs]),
            "fan_in_fan_out": any(not isinstance(module.base, nn.Linear) for module in layers.values()),
        }


TYPE = Ia3()


def _split(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The scales by the layer's name, and the other tensors by their names in the model."""
    scales: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(PREFIX)
        (scales if name.endswith(_END) else rest)[name.removesuffix(_END)] = tensor
    return scales, rest


def _space(model: nn.Module, scales: dict[str, Tensor], folder: object) -> IA3:
    """The space that scales these layers; `scales` is put in its order.

    Raises:
        UserError: if one is none that (IA)^3 fits.
    """
    known = [name for name, module in model.named_modules() if rescalable(module)]
    for name, scale in scales.items():
        if name not in known or scale.ndim != 2 or 1 not in scale.shape:
            raise UserError(
                f"{folder} scales {name} by {tuple(scale.shape)}, and {type(model).__name__} has no such linear layer: "
                "load it around the model that it was made for"
            )
    if not scales:
        raise UserError(f"{folder} holds no scales of (IA)^3: write it with PEFT's save_pretrained")
    ordered = {name: scales.pop(name) for name in known if name in scales}
    scales |= ordered
    inputs = [name for name, scale in scales.items() if len(scale) == 1]
    outputs = [name for name in scales if name not in inputs]
    return IA3(*(exact_targets(names, known) if names else [] for names in (outputs, inputs)))


def _layers(model: nn.Module) -> dict[str, Rescaled]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Rescaled)}


def _exactly(names: Sequence[str]) -> str | list[str]:
    """These names and no other: PEFT takes an item of a list for the end of any name."""
    return "|".join(re.escape(name) for name in names) or []
