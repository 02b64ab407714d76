"""Scales of keys, values and activations."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from intrinsic.errors import UserError
from intrinsic.layers.rescaled import Rescaled
from intrinsic.layers.rescaled_places import rescalable, rescaled_places
from intrinsic.layers.why_not_plain import why_not_plain
from intrinsic.spaces.base import Space
from intrinsic.surgery.targets import find_targets
from intrinsic.surgery.tree import swap, unwrap
from intrinsic.surgery.wrapper import Wrapper


@dataclass(frozen=True)
class IA3(Space):
    """A scale for each key, each value and each inner activation of the feed-forwards of a transformer, 1 at the start.

    Where one layer makes queries, keys and values, all its outputs are scaled. Layers are found by a call of the model
    on made-up inputs (see `intrinsic.surgery.dataflow`); mixtures of experts have scales in attention alone. Source:
    Liu et al. 2022, (IA)^3, arXiv:2205.05638, section 3.3.

    Args:
        outputs: layers whose outputs are scaled, named as in `LoRA`. None: those of keys and values.
        inputs: layers whose inputs are. None: the last of feed-forwards; both are None, or neither is.

    Examples:
        >>> import intrinsic
        >>> from intrinsic.models.vit import ViT
        >>> model = ViT((1, 8, 8), 3, patch=4, width=8, depth=1, heads=2, dropout=0.0)
        >>> net = intrinsic.Subspace(model, space=intrinsic.IA3())
        >>> dict(zip(net.coordinate_names[1:], net.coordinate_sizes[1:]))
        {'blocks.0.attention.value.ia3_l': 8, 'blocks.0.down.ia3_l': 32}
    """

    needs = ("attention",)

    outputs: str | Sequence[str] | None = None
    inputs: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        if (self.outputs is None) != (self.inputs is None):
            raise UserError("space ia3 needs both outputs and inputs, or neither: give an empty list for none")

    def wire(self, model: nn.Module, *, seed: int) -> dict[str, nn.Parameter]:
        """Wrap the layers and return their scales: <layer>.ia3_l."""
        if any(isinstance(module, Rescaled) for module in model.modules()):
            raise UserError("the model already has scales of (IA)^3: merge them first")
        places = rescaled_places(model) if self.outputs is None else self._named(model)
        for name in places:
            _check(name, model.get_submodule(name))
        wrappers = {name: Rescaled(model.get_submodule(name), inputs=inputs) for name, inputs in places.items()}
        for wrapper in wrappers.values():
            swap(model, wrapper.base, wrapper)
        return {f"{name}.ia3_l": wrapper.get_parameter("ia3_l") for name, wrapper in wrappers.items()}

    def _named(self, model: nn.Module) -> dict[str, bool]:
        kinds = tuple({type(module) for module in model.modules() if rescalable(module)})
        found: dict[str, bool] = {}
        for inputs, names in ((False, self.outputs), (True, self.inputs)):
            layers = find_targets(model, names, kinds) if names else {}
            if both := found.keys() & layers.keys():
                raise UserError(f"space ia3 scales {min(both)} twice: name it in outputs or in inputs")
            found |= dict.fromkeys(layers, inputs)
        if not found:
            raise UserError("space ia3 scales no layer: name one in outputs or inputs")
        return {name: found[name] for name, _ in model.named_modules() if name in found}

    def unwire(self, model: nn.Module) -> None:
        """Put the wrapped layers back, without their scales."""
        unwrap(model, Rescaled)

    def merge(self, model: nn.Module) -> None:
        """Multiply the weights and biases by the scales and put the plain layers back.

        Raises:
            UserError: if another layer shares a scaled weight, which would change with it, or an adapter is between.
        """
        layers = [module for module in model.modules() if isinstance(module, Rescaled)]
        owners = [id(p) for module in model.modules() for p in module.parameters(recurse=False)]
        for layer in layers:
            if owners.count(id(layer.base.weight)) > 1:
                raise UserError("cannot merge: a layer that is scaled shares its weight with another: untie it first")
            if isinstance(layer.base, Wrapper):
                raise UserError("cannot merge: a layer that is scaled has an adapter, which stays: use intrinsic.save")
        with torch.no_grad():
            for layer in layers:
                weight, bias = layer.weight, layer.bias
                layer.base.weight.copy_(weight)  # type: ignore[operator]
                if bias is not None:
                    layer.base.bias.copy_(bias)  # type: ignore[operator]
        self.unwire(model)


def _check(name: str, layer: nn.Module) -> None:
    """Check that scales of a layer are scales of its weight and bias.

    Raises:
        UserError: if not.
    """
    if isinstance(layer, Wrapper):
        raise UserError(
            f"{name} has an update or an adapter already: name ia3 before them in a union, or merge them first"
        )
    numbers = ["weight"] if layer.bias is None else ["weight", "bias"]
    kind = next(kind for kind in type(layer).__mro__ if kind is nn.Linear or kind.__name__ == "Conv1D")
    if (reason := why_not_plain(layer, kind, *numbers)) is not None:
        raise UserError(
            f"space ia3 cannot scale {name}, a {type(layer).__name__} with {reason}: leave it out of outputs and inputs"
        )
