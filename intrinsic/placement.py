"""Other tensors in the places of a model's parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from intrinsic.projections.kernels.select import tracing


class Placement:
    """Where a model holds some of its parameters: calls it with others there, and puts the parameters back.

    Args:
        model: any module.
        slots: by a parameter's name, a name for each place that holds it (see `inject.parameter_slots`).
    """

    def __init__(self, model: nn.Module, slots: Mapping[str, Sequence[str]]) -> None:
        self._slots = slots
        self._places = [
            (model.get_submodule(slot.rpartition(".")[0])._parameters, slot.rpartition(".")[2], name)
            for name, held in slots.items()
            for slot in held
        ]
        self._parameters: list[nn.Parameter | None] = []  # what was in the places; empty: it still is

    def call(self, model: nn.Module, tensors: Mapping[str, Tensor], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """What the model returns with a tensor, by the parameter's name, in every place.

        They are there for the time of the call and, with gradients on, of the backward pass from what it returns, which
        may run parts of the model again: activation checkpointing.
        """
        if tracing(next(iter(tensors.values()))):
            slots = {slot: tensor for name, tensor in tensors.items() for slot in self._slots[name]}
            return functional_call(model, slots, tuple(args), kwargs, tie_weights=False)
        self._put(tensors)
        try:
            outputs = model(*args, **kwargs)
        finally:
            self.restore()

        def begin_backward(_: Tensor) -> None:
            if not self._parameters:
                self._put(tensors)
                torch.autograd.Variable._execution_engine.queue_callback(self.restore)

        for output in tree_leaves(outputs) if torch.is_grad_enabled() else ():
            if isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(begin_backward)
        return outputs

    def restore(self) -> None:
        """Put the parameters back, if others are in their places."""
        if self._parameters:
            for (owner, key, _), parameter in zip(self._places, self._parameters, strict=True):
                owner[key] = parameter
            self._parameters = []

    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by name, restored to their places."""
        self.restore()
        found: dict[str, nn.Parameter] = {}
        for owner, key, name in self._places:
            found.setdefault(name, owner[key])  # type: ignore[arg-type]  # no place holds None
        return found

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        self.restore()
        self._parameters = [owner[key] for owner, key, _ in self._places]
        for owner, key, name in self._places:
            owner[key] = tensors[name]  # type: ignore[assignment]  # as torch.func.functional_call does
