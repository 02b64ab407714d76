"""Fixed tensors that whoever changes buffers does not find."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.surgery.torch_internals import Movable


class FixedTensors(Movable):
    """A module that keeps tensors as plain attributes: no buffers, which averaging, broadcasts and loops would change.

    They go to other devices with the module, and keep their dtype and their numbers, also in `to_empty`. Deep copies
    of the module hold the same tensors. Nobody may write to them.

    Some are made when they are first asked for: a subclass names them in `later`, and makes each in a cached_property.
    """

    later: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []

    def _store(self, name: str, array: np.ndarray | Tensor) -> None:
        """Keep `array` as the attribute `name`."""
        if hasattr(self, name):
            raise ValueError(f"{type(self).__name__} already has an attribute {name}")
        found = array if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array))
        setattr(self, name, found)
        self._names.append(name)

    def store(self, name: str, array: np.ndarray) -> None:
        """Keep `array` as the attribute `name`, as a constructor elsewhere has drawn it."""
        self._store(name, array)

    def _held(self) -> list[str]:
        return [*self._names, *(name for name in self.later if name in vars(self))]

    def fixed_tensors(self) -> dict[str, Tensor]:
        """The tensors that this module and its parts hold now by name, buffers included."""
        found = dict(self.named_buffers())
        for prefix, part in self.named_modules():
            if isinstance(part, FixedTensors):
                found |= {f"{prefix}.{name}".removeprefix("."): getattr(part, name) for name in part._held()}
        return found

    def all_fixed_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The same in the order of their names, and those that nobody has asked for yet, of which none is kept."""
        found: dict[str, Callable[[], Tensor]] = {
            name: partial(Tensor.detach, tensor) for name, tensor in self.fixed_tensors().items()
        }
        for prefix, part in self.named_modules():
            for name in part.later if isinstance(part, FixedTensors) else ():
                make = partial(getattr(type(part), name).func, part)
                found.setdefault(f"{prefix}.{name}".removeprefix("."), make)
        return ((name, found[name]()) for name in sorted(found))

    def relocate(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move to the device to which `fn` moves, and do nothing else that it does.

        Raises:
            UserError: if the numbers are left behind on the meta device.
        """

        def move(tensor: Tensor) -> Tensor:
            probe = fn(tensor.new_zeros(1))
            if tensor.is_meta and not probe.is_meta:
                raise UserError("P has no values on the meta device: make the net again on the device where it is used")
            if probe.device.type == "cpu" and probe.is_shared():  # Module.share_memory
                return tensor.cpu().share_memory_()
            return tensor.to(probe.device)

        super().relocate(move, recurse)
        for name in self._held():
            setattr(self, name, move(getattr(self, name)))
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo |= {id(tensor): tensor for tensor in (getattr(self, name) for name in self._held())}
        memo[id(self)] = copied = type(self).__new__(type(self))
        vars(copied).update(copy.deepcopy(self.__getstate__(), memo))
        return copied
