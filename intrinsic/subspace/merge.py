"""A trained subspace as a plain model."""

from collections.abc import Mapping

from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.layers.int8 import Int8
from intrinsic.spaces.base import Space
from intrinsic.subspace.recurrent import take_no_turns
from intrinsic.surgery.tree import copy_model


def merge(model: nn.Module, weights: Mapping[str, Tensor], space: Space, onto: nn.Module | str | None) -> nn.Module:
    """A copy of the model at these weights of the space, in its original architecture. See `Subspace.merge`.

    Raises:
        UserError: if the space cannot be merged, or `onto` does not fit.
    """
    quantized = any(isinstance(module, Int8) for module in model.modules())
    if quantized and onto is None:
        raise UserError('int8 weights cannot take an update: merge("dequantized"), or merge(model as it was before)')
    if onto is not None and (not quantized or not (onto == "dequantized" or isinstance(onto, nn.Module))):
        raise UserError(
            f'need merge() for a float base, merge("dequantized") or merge(model) for int8, got {onto!r:.50}'
        )
    plain = copy_model(model)
    take_no_turns(plain)
    for name, weight in weights.items():
        plain.get_parameter(name).data.copy_(weight)
    for layer in [module for module in plain.modules() if isinstance(module, Int8)]:
        layer.restore(_weight(onto, layer.origin) if isinstance(onto, nn.Module) else None)
    space.merge(plain)
    for parameter in plain.parameters():
        parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())
    return plain


def _weight(model: nn.Module, layer: str) -> Tensor:
    try:
        return model.get_parameter(f"{layer}.weight")
    except AttributeError:
        raise UserError(
            f"{type(model).__name__} is not the model that was quantised: it has no {layer}.weight"
        ) from None
