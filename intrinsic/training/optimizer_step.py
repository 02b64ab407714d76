"""An optimiser's step by torch's fused kernels alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from intrinsic.surgery.optimizer_internals import add_to_all, fused_adam, fused_adamw, fused_sgd, is_watched
from intrinsic.surgery.torch_internals import has_stepped

_State = dict[str, Any]


class OptimizerStep:
    """What `optimizer.zero_grad()` and `optimizer.step()` do, bit for bit; for few numbers most of that is Python.

    The fused kernels of Adam, AdamW and SGD are called as torch calls them, on the state that the optimiser keeps.
    Another optimiser, one that is not fused or has no state yet, and one of whose steps somebody is told go their own
    way.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer, self._is_known = optimizer, type(optimizer) in (Adam, AdamW, SGD)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        if not self._is_known or is_watched(self._optimizer):
            self._optimizer.zero_grad(set_to_none=True)
            return
        for group in self._optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def __call__(self) -> None:
        """Take a step."""
        optimizer = self._optimizer
        update = _adam if isinstance(optimizer, Adam | AdamW) else _sgd
        parts = [_part(group, optimizer) for group in optimizer.param_groups] if self._is_known else [None]
        if None in parts or is_watched(optimizer):
            optimizer.step()
            return
        with torch.no_grad():
            for group, part in zip(optimizer.param_groups, parts, strict=True):
                update(optimizer, group, *part)
        has_stepped(optimizer)


def _part(group: dict[str, Any], optimizer: Optimizer) -> tuple[list[Tensor], list[Tensor], list[_State]] | None:
    """What a kernel takes of a group: parameters, gradients, states; None if torch would do more than call it."""
    numbers = group["lr"], *group.get("betas", ())
    if not group["fused"] or group["differentiable"] or group.get("capturable") or any(map(torch.is_tensor, numbers)):
        return None
    parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
    grads: list[Tensor] = [parameter.grad for parameter in parameters]
    states = [optimizer.state.get(parameter, {}) for parameter in parameters]
    needed = "step" if "betas" in group else "momentum_buffer" if group["momentum"] else None
    begun = needed is None or all(state.get(needed) is not None for state in states)
    alike = len({(tensor.dtype, tensor.device, tensor.layout) for tensor in (*parameters, *grads)}) == 1
    return (parameters, grads, states) if begun and alike else None


def _adam(optimizer: Optimizer, group: dict[str, Any], z: list[Tensor], g: list[Tensor], states: list[_State]) -> None:
    decoupled = type(optimizer) is AdamW or group.get("decoupled_weight_decay")
    kernel: Callable[..., None] = fused_adamw if decoupled else fused_adam
    first, second, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
    largest = [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else []
    add_to_all(steps, 1)
    kernel(
        z,
        g,
        first,
        second,
        largest,
        steps,
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


def _sgd(optimizer: Optimizer, group: dict[str, Any], z: list[Tensor], g: list[Tensor], states: list[_State]) -> None:
    fused_sgd(
        z,
        g,
        [state["momentum_buffer"] for state in states] if group["momentum"] else [],
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
