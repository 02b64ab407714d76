"""An optimiser's step by torch's fused kernels alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from intrinsic.surgery.optimizer_internals import fused_adam, fused_adamw, fused_sgd, is_watched
from intrinsic.surgery.torch_internals import has_stepped
from intrinsic.training.adam_state import AdamState
from intrinsic.training.deep_q_learning import DeepQLearning

_ADAM_STATE, _SGD_STATE = ("exp_avg", "exp_avg_sq", "step"), ("momentum_buffer",)


class _Part(NamedTuple):
    """A group of parameters, and what the optimiser keeps of them, by name in the order of the parameters."""

    group: dict[str, Any]
    parameters: list[Tensor]
    numbers: list[Tensor]  # theirs, without autograd
    state: dict[str, list[Tensor]]


class OptimizerStep:
    """What `optimizer.zero_grad()` and `optimizer.step()` do, bit for bit; for few numbers most of that is Python.

    The fused kernels of Adam, AdamW and SGD are called as torch calls them, on the state that the optimiser keeps.
    Another optimiser, one that is not fused or has no state yet, and one of whose steps somebody is told go their own
    way.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.look()

    def look(self) -> None:
        """Find out anew what the optimiser keeps and who is told of its steps: others may have changed it."""
        self._is_plain = type(self.optimizer) in (Adam, AdamW, SGD, DeepQLearning) and not is_watched(self.optimizer)
        self._parts: list[_Part] = []  # found when there is a state

    def zero_grad(self) -> None:
        """Forget all gradients."""
        if not self._is_plain:
            self.optimizer.zero_grad(set_to_none=True)
            return
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def adam_state(self, parameter: Tensor) -> AdamState | None:
        """What the optimiser keeps of the one tensor that it moves, on a CPU, if it is Adam and has a state."""
        self._find()
        if type(self.optimizer) not in (Adam, AdamW) or len(self._parts) != 1:
            return None
        group, parameters, _, state = self._parts[0]
        if len(parameters) != 1 or parameters[0] is not parameter or state.keys() != set(_ADAM_STATE):
            return None
        found = AdamState(group, *(state[name][0] for name in _ADAM_STATE))
        alike = all(each.dtype == parameter.dtype and each.shape == parameter.shape for each in found.tensors[:2])
        near = all(type(each) is Tensor and each.is_cpu and each.is_contiguous() for each in found.tensors)
        return found if alike and near and found.steps.dtype == torch.float32 and found.settings() else None

    def count(self) -> None:
        """Note, for schedulers, that somebody else takes steps for the optimiser."""
        has_stepped(self.optimizer)

    def _find(self) -> None:
        optimizer = self.optimizer
        if self._is_plain and not self._parts:
            found = [_part(group, optimizer) for group in optimizer.param_groups]
            self._parts = [part for part in found if part] if all(found) else []

    def __call__(self) -> None:
        """Take a step."""
        optimizer = self.optimizer
        self._find()
        grads = [[parameter.grad for parameter in part.parameters] for part in self._parts]
        if not grads or not all(_are_dense(some) for some in grads) or not all(map(_has_floats, self._parts)):
            optimizer.step()
            return
        update = _sgd if isinstance(optimizer, SGD) else _adam
        for part, some in zip(self._parts, grads, strict=True):
            update(optimizer, part, some)
        has_stepped(optimizer)


def _are_dense(grads: list[Tensor | None]) -> bool:
    return all(grad is not None and grad.layout == torch.strided for grad in grads)


def _has_floats(part: _Part) -> bool:
    """Whether the group's numbers, which schedulers change, are Python's own."""
    group = part.group
    return not torch.is_tensor(group["lr"]) and not any(map(torch.is_tensor, group.get("betas", ())))


def _part(group: dict[str, Any], optimizer: Optimizer) -> _Part | None:
    """What a kernel takes of a group; None if torch would do more than call it, or if there is no state yet."""
    parameters: list[Tensor] = group["params"]
    alike = len({(parameter.dtype, parameter.device) for parameter in parameters}) == 1
    if not alike or not group["fused"] or group["differentiable"] or group.get("capturable"):
        return None
    names: tuple[str, ...] = _ADAM_STATE if "betas" in group else _SGD_STATE if group["momentum"] else ()
    names += ("max_exp_avg_sq",) if group.get("amsgrad") else ()
    states = [optimizer.state.get(parameter, {}) for parameter in parameters]
    if any(state.get(name) is None for state in states for name in names):
        return None
    numbers = [parameter.detach() for parameter in parameters]
    return _Part(group, parameters, numbers, {name: [state[name] for state in states] for name in names})


def _adam(optimizer: Optimizer, part: _Part, grads: list[Any]) -> None:
    group, _, numbers, state = part
    decoupled = type(optimizer) is AdamW or group.get("decoupled_weight_decay")
    kernel: Callable[..., None] = fused_adamw if decoupled else fused_adam
    for step in state["step"]:
        step.add_(1)
    kernel(
        numbers,
        grads,
        state["exp_avg"],
        state["exp_avg_sq"],
        state["max_exp_avg_sq"] if group["amsgrad"] else [],
        state["step"],
        lr=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=group["amsgrad"],
        maximize=group["maximize"],
        grad_scale=None,
        found_inf=None,
    )


def _sgd(optimizer: Optimizer, part: _Part, grads: list[Any]) -> None:
    group, _, numbers, state = part
    fused_sgd(
        numbers,
        grads,
        state["momentum_buffer"] if group["momentum"] else [],
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=False,
        grad_scale=None,
        found_inf=None,
    )
