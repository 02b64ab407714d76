"""An optimiser's step by torch's fused kernels alone; for few numbers most of torch's own is Python."""

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
    state: dict[str, list[Tensor]]


def optimizer_step(optimizer: Optimizer) -> None:
    """Take the step that `optimizer.step()` takes, bit for bit, in a third of the time where z is small.

    The fused kernels of Adam, AdamW and SGD are called as torch calls them, on what the optimiser keeps, so that
    schedulers, `state_dict` and `load_state_dict` see no difference. Another optimiser, one without `fused=True`, its
    first step, and one of whose steps somebody is told (hooks, a step of somebody's own) go torch's way.

    Args:
        optimizer: over any parameters, whose gradients are there.

    Examples:
        >>> import torch, intrinsic
        >>> net = intrinsic.Subspace(torch.nn.Linear(20, 5), projection=intrinsic.OneHot, dim=3, seed=0)
        >>> optimizer = torch.optim.Adam(net.parameters(), lr=0.1, fused=True)
        >>> for _ in range(2):
        ...     intrinsic.zero_grad(optimizer)
        ...     net(torch.ones(1, 20)).sum().backward()
        ...     intrinsic.optimizer_step(optimizer)
        >>> [f"{abs(number):.1f}" for number in net.z.tolist()]
        ['0.2', '0.2', '0.2']
    """
    parts = _parts(optimizer)
    grads = [[parameter.grad for parameter in part.group["params"]] for part in parts]
    if not grads or not all(_are_dense(some) for some in grads) or not all(_has_floats(part.group) for part in parts):
        optimizer.step()
        return
    update = _sgd if isinstance(optimizer, SGD) else _adam
    for part, some in zip(parts, grads, strict=True):
        update(optimizer, part, some)
    has_stepped(optimizer)


def zero_grad(optimizer: Optimizer) -> None:
    """Forget all gradients, as `optimizer.zero_grad()` does.

    Args:
        optimizer: over any parameters.

    Examples:
        >>> import torch, intrinsic
        >>> z = torch.ones(3, requires_grad=True)
        >>> z.sum().backward()
        >>> intrinsic.zero_grad(torch.optim.Adam([z], fused=True))
        >>> z.grad is None
        True
    """
    if not _is_plain(optimizer):
        optimizer.zero_grad(set_to_none=True)
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def adam_state(optimizer: Optimizer, parameter: Tensor) -> AdamState | None:
    """What the optimiser keeps of the one tensor that it moves, on a CPU, if it is Adam and has a state."""
    parts = _parts(optimizer)
    if type(optimizer) not in (Adam, AdamW) or len(parts) != 1:
        return None
    group, state = parts[0]
    if len(group["params"]) != 1 or group["params"][0] is not parameter or state.keys() != set(_ADAM_STATE):
        return None
    found = AdamState(group, *(state[name][0] for name in _ADAM_STATE))
    alike = all(each.dtype == parameter.dtype and each.shape == parameter.shape for each in found.tensors[:2])
    near = all(type(each) is Tensor and each.is_cpu and each.is_contiguous() for each in found.tensors)
    return found if alike and near and found.steps.dtype == torch.float32 and found.settings() else None


def _is_plain(optimizer: Optimizer) -> bool:
    return type(optimizer) in (Adam, AdamW, SGD, DeepQLearning) and not is_watched(optimizer)


def _parts(optimizer: Optimizer) -> list[_Part]:
    """What the kernels take; nothing where torch would do more than call them.

    Looked up at each step: a state that was loaded, a group that was added or a hook has a say in the next one.
    """
    if not _is_plain(optimizer):
        return []
    found = [_part(group, optimizer) for group in optimizer.param_groups]
    return [part for part in found if part] if all(found) else []


def _are_dense(grads: list[Tensor | None]) -> bool:
    return all(grad is not None and grad.layout == torch.strided for grad in grads)


def _has_floats(group: dict[str, Any]) -> bool:
    """Whether the group's numbers, which schedulers change, are Python's own."""
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
    return _Part(group, {name: [state[name] for state in states] for name in names})


def _numbers(group: dict[str, Any]) -> list[Tensor]:
    """Those of the parameters, without autograd."""
    return [parameter.detach() for parameter in group["params"]]


def _adam(optimizer: Optimizer, part: _Part, grads: list[Any]) -> None:
    group, state = part
    decoupled = type(optimizer) is AdamW or group.get("decoupled_weight_decay")
    kernel: Callable[..., None] = fused_adamw if decoupled else fused_adam
    for step in state["step"]:
        step.add_(1)
    kernel(
        _numbers(group),
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
    group, state = part
    fused_sgd(
        _numbers(group),
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
