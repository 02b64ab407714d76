"""What torch's optimisers keep to themselves: see `torch_internals`."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim import optimizer as every

# the steps of Adam, AdamW and SGD, in place, of tensors alike in dtype and device
fused_adam, fused_adamw, fused_sgd = torch._fused_adam_, torch._fused_adamw_, torch._fused_sgd_


def is_watched(optimizer: Optimizer) -> bool:
    """Whether somebody is told of an optimiser's steps or has a say in them, but for a scheduler that counts them."""
    own: dict[str, Any] = vars(optimizer)
    step = own.get("step")
    counts = step is None or (
        hasattr(step, "_wrapped_by_lr_sched") and getattr(step, "__wrapped__", None) is type(optimizer).step
    )
    told = (
        optimizer._optimizer_step_pre_hooks,
        optimizer._optimizer_step_post_hooks,
        every._global_optimizer_pre_hooks,
        every._global_optimizer_post_hooks,
    )
    return not counts or any(told) or not own.keys().isdisjoint(("zero_grad", "grad_scale", "found_inf"))


def has_hooks(*tensors: Tensor) -> bool:
    """Whether somebody is told of the gradient of one of these."""
    return any(tensor._backward_hooks or tensor._post_accumulate_grad_hooks for tensor in tensors)
