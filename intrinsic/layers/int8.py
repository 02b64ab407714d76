"""Layers whose frozen weight is kept as int8."""

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic.checks import check_module
from intrinsic.errors import UserError
from intrinsic.surgery.head import find_head, under
from intrinsic.surgery.tree import parameter_slots
from intrinsic.surgery.wrapper import forward_was_set


class Int8(nn.Module):
    """A layer whose weight is kept as W' = s q: q int8 in [-127, 127], one scale s for each output channel.

    |W - s q| <= s / 2 for every entry, s = max |W| / 127 over its output channel (a weight in half precision is also
    rounded to it). The layer still is of its own kind, an nn.Linear, say, and computes what that kind computes at the
    weight W'; `weight` gives W' to code that reads it. Only q and s stay in memory, also between a forward
    and its backward pass: W' is there for the time of one product. Gradients go to the input, never to q or s.

    A layer changes its class in place, so that its names, hooks and mode are as they were: `quantize` does that.
    """

    quantized: nn.Parameter  # q, in the shape of the weight; int8, and a parameter: it has its place in state dicts
    scale: nn.Parameter  # s, (out, 1), or (1, out) for Conv1D, which keeps its weight transposed
    bias: Tensor | None
    origin: str  # the layer's name in the model that was quantised

    @staticmethod
    def store(layer: nn.Module, origin: str) -> None:
        """Turn a float layer into an int8 one; its weight, all of it finite, is given up."""
        weight = layer.weight
        assert isinstance(weight, Tensor)
        with torch.no_grad():
            largest = weight.abs().amax(1 if isinstance(layer, nn.Linear) else 0, keepdim=True)
            scale = (largest / 127).clamp(min=torch.finfo(weight.dtype).tiny)  # a channel of zeros has one as well
            wide = torch.promote_types(weight.dtype, torch.float32)  # W / s to more than 8 bits
            quantized = (weight.to(wide) / scale).round().clamp(-127, 127).to(torch.int8)
        del layer.weight
        kind: Any = type(layer)
        layer.__class__ = _kind(kind)
        layer.quantized = nn.Parameter(quantized, requires_grad=False)
        layer.scale = nn.Parameter(scale, requires_grad=False)
        layer.origin = origin  # type: ignore[assignment]

    def restore(self, original: Tensor | None = None) -> None:
        """Turn the layer back into a float one, with the weight W', or with the original W if that is given.

        Raises:
            UserError: if the weight given is not the one that was quantised.
        """
        weight = self.weight
        if original is not None:
            # half a step, and the rounding of s q in the weight's own precision
            bound = 0.5 * self.scale + 256 * torch.finfo(weight.dtype).eps * self.scale
            if original.shape != weight.shape or bool(((original.to(weight) - weight).abs() > bound).any()):
                raise UserError(f"{self.origin} is not the weight that was quantised: give the model it was")
            weight = original.detach().to(weight, copy=True)
        del self.quantized, self.scale, self.origin
        self.__class__ = type(self).__bases__[1]  # (Int8, kind)
        self.weight = nn.Parameter(weight, requires_grad=False)  # type: ignore[misc]

    def __reduce__(self) -> tuple[Any, ...]:
        return _blank, (type(self).__bases__[1],), vars(self)  # pickle finds no class that was made here

    @property
    def weight(self) -> Tensor:
        """W' = s q, in the precision of s: made anew by each reader."""
        return self.scale.detach() * self.quantized

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        y = _Product.apply(x, self.quantized, self.scale, isinstance(self, nn.Linear))
        return y if self.bias is None else y + self.bias.to(y.dtype)


def check_frozen(model: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
    """Check that no int8 weight is among the parameters that are to move.

    Raises:
        UserError: if one is.
    """
    if {id(p) for p in parameters} & {id(layer.scale) for layer in model.modules() if isinstance(layer, Int8)}:
        raise UserError("an int8 weight cannot move: use space=lora, or base=float32")


class _Product(torch.autograd.Function):
    """X -> x W'^T or x W', W' = s q made for the time of the product; the derivative is the other one."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, quantized: Tensor, scale: Tensor, transposed: bool) -> Tensor:
        weight = scale.to(x.dtype) * quantized
        return F.linear(x, weight if transposed else weight.T)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
        _, quantized, scale, ctx.transposed = inputs
        ctx.save_for_backward(quantized, scale)
        ctx.save_for_forward(quantized, scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return _Product.apply(grads[0], *ctx.saved_tensors, not ctx.transposed), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _Product.apply(tangents[0], *ctx.saved_tensors, ctx.transposed)


def _blank(kind: Any) -> Any:
    return object.__new__(_kind(kind))


@cache
def _kind(kind: Any) -> Any:
    return type(f"Int8{kind.__name__}", (Int8, kind), {})


def quantize(model: nn.Module) -> nn.Module:
    """Keep the weights of linear layers as int8 (see `Int8`), in place; return the model, which is frozen.

    Every nn.Linear and Hugging Face Conv1D, but not the head, a layer that shares its weight, and one with a forward of
    its own. What is trained has to be something else: LoRA's factors, biases, the head.

    Raises:
        UserError: if no layer can be quantised, a weight is not finite, or the model has been quantised; it is then as
            it was.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> model[0] is intrinsic.quantize(model)[0], model[0].quantized.dtype, model[1].weight.dtype
        (True, torch.int8, torch.float32)
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
        raise UserError(f"int8 needs an nn.Linear beside the head, {type(model).__name__} has none: use base=float32")
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
