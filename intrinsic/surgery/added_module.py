"""The base of modules that are put into a model, or around one."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import torch
from torch import Tensor

from intrinsic.surgery.stable_name import StableName
from intrinsic.surgery.torch_internals import Movable, relocate

_HALF = (torch.float16, torch.bfloat16)


class AddedModule(StableName, Movable):
    """A module whose own numbers are float32 at least, whatever the model's precision: half loses small steps.

    They are cast in the product (see `beside`), so that a half-precision model still computes in half precision.
    `.to(torch.bfloat16)` and the like leave them in float32.
    """

    narrow: torch.dtype = torch.float32  # of the numbers beside which its own stand

    def constants(self) -> dict[str, Any]:
        """What makes it another function of the same numbers, as plain values by name: part of the fingerprint."""
        return {}

    def relocate(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Keep its own numbers in float32 at least; children have a say of their own."""

        def wide(tensor: Tensor) -> Tensor:
            found = fn(tensor)
            return tensor.to(found.device, torch.float32) if found.dtype in _HALF else found

        for module in self.children() if recurse else ():
            relocate(module, fn)
        return super().relocate(wide, recurse=False)


def wide_like(like: Tensor) -> Tensor:
    """An empty tensor on the same device, in the same dtype or, for half precision and less, in float32."""
    return like.new_empty(0, dtype=torch.float32 if like.dtype.itemsize < 4 else like.dtype)


def is_autocasting(device: torch.device) -> bool:
    """Whether autocast is on for a device."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def beside(number: Tensor, activation: Tensor) -> Tensor:
    """A number of an `AddedModule` module as it enters a product: in the activation's dtype; autocast has its own."""
    return number if is_autocasting(activation.device) else number.to(activation.dtype)


def exactly(device: torch.device) -> AbstractContextManager[Any]:
    """Products in their operands' own precision, under autocast too: those of weights, and of table look-ups."""
    return torch.autocast(device.type, enabled=False) if is_autocasting(device) else nullcontext()
