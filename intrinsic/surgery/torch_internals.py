"""Torch's private names: every one that this project reads, calls, sets or overrides, and why.

A test holds that no other file has them, and says which versions of torch do. What stands for a name of torch's without
a function of ours around it is called in every step.
"""

import inspect
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel
from torch.utils._pytree import tree_flatten as tree_flatten  # lists, tuples and mappings of tensors
from torch.utils._pytree import tree_map as tree_map
from torch.utils._pytree import tree_unflatten as tree_unflatten

# what a state dict appends to a module's name for what `get_extra_state` gives
EXTRA_STATE = "_extra_state"

# What a module holds itself. Its public iterators leave out what is None and what has two names, and need a search from
# the top; other tensors can be put into places, and modules into others' places, in these dictionaries alone.

PARAMETERS, MODULES = "_parameters", "_modules"
HELD = (PARAMETERS, "_buffers", MODULES)
CONV_FORWARD = "_conv_forward"  # what convolutions define beside `forward`


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """A module's parameters by their names in it, None where one was registered so."""
    return module._parameters


def set_own_parameters(module: nn.Module, parameters: dict[str, nn.Parameter | None]) -> None:
    """Put another dictionary in the place of a module's own."""
    module._parameters = parameters


def own_buffers(module: nn.Module) -> dict[str, Tensor | None]:
    """A module's buffers by their names in it."""
    return module._buffers


def own_modules(module: nn.Module) -> dict[str, nn.Module | None]:
    """A module's children, those that it has under a second name included."""
    return module._modules


def share_non_persistent(old: nn.Module, new: nn.Module) -> None:
    """Let one module leave those buffers out of its state dict that another one does."""
    vars(new)["_non_persistent_buffers_set"] |= vars(old)["_non_persistent_buffers_set"]


def ignore_in_ddp(module: nn.Module, names: list[str]) -> None:
    """Name the parameters and buffers that DistributedDataParallel is to send to no other process."""
    module._ddp_params_and_buffers_to_ignore = names  # type: ignore[assignment]


class Movable(nn.Module):
    """A module that has a say in how it goes to another device or dtype: `.to` and `.half` call `relocate`."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        return self.relocate(fn, recurse)

    def relocate(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put fn(tensor) in the place of each of its tensors, and of its children's."""
        return super()._apply(fn, recurse)


def relocate(module: nn.Module, fn: Callable[[Tensor], Tensor]) -> None:
    """Put fn(tensor) in the place of each tensor of any module."""
    module._apply(fn)


def convolve(layer: nn.Conv2d, x: Tensor, weight: Tensor) -> Tensor:
    """A convolution as the layer's own, with its stride, padding and padding mode, by another weight and no bias."""
    return layer._conv_forward(x, weight, None)


def has_one_input_matrix(attention: nn.MultiheadAttention) -> bool:
    """Whether query, key and value come from one matrix."""
    return bool(attention._qkv_same_embed_dim)


def swap_cached(weights: dict[Any, Any]) -> dict[Any, Any] | None:
    """Put others in the place of the weights that `parametrize.cached()` has kept so far; None outside of it."""
    if not parametrize._cache_enabled:
        return None
    found, parametrize._cache = parametrize._cache, weights
    return found


# Hooks: torch has no way to list them, nor to give them to another module while their handles stay valid.

CALL_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
STATE_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def forward_hooks(module: nn.Module) -> tuple[dict[int, Any], dict[int, Any]]:
    """What is called before a module's forward, and after it, by the numbers of their handles."""
    return module._forward_pre_hooks, module._forward_hooks


def remove_forward_hooks(module: nn.Module, own: Collection[Any]) -> None:
    """Take these functions off a module, without their handles."""
    for hooks in forward_hooks(module):
        for key in [key for key, hook in hooks.items() if hook in own]:
            del hooks[key]
            module._forward_hooks_always_called.pop(key, None)


def move_hooks(old: nn.Module, new: nn.Module, kinds: Iterable[str]) -> None:
    """Give one module's hooks to another one, in the dictionaries that hold them, which their handles know."""
    theirs, ours = vars(old), vars(new)
    if theirs["_backward_hooks"]:
        ours["_is_full_backward_hook"], theirs["_is_full_backward_hook"] = theirs["_is_full_backward_hook"], None
    for kind in kinds:
        moved, own = theirs[kind], ours[kind]
        if not moved:
            continue
        for key, hook in reversed(own.items()):  # those of the inner module come first
            moved[key] = hook
            moved.move_to_end(key, last=False)
        for hook in moved.values():
            if getattr(hook, "with_module", False):
                hook.module = weakref.ref(new)
        theirs[kind], ours[kind] = OrderedDict(), moved


# Autograd: which backward pass is under way, and the order of its steps.

graph_task = torch._C._current_graph_task_id  # the backward pass under way in this thread, -1 if there is none
current_node = torch._C._current_autograd_node  # the step of it under way
keeps_graph = torch._C._autograd._get_current_graph_task_keep_graph  # whether its steps may run again after it
next_sequence_number = torch._C._autograd._get_sequence_nr  # what this thread's next step will be numbered


def sequence_number(node: Any) -> int:
    """The number of a step: later ones of a thread have larger numbers, and are run earlier in the backward pass."""
    return int(node._sequence_nr())


def renumber(node: Any, number: int) -> None:
    """Let the backward pass run a step as if it had been recorded at another time."""
    node._set_sequence_nr(number)


def when_backward_ends(callback: Callable[[], None]) -> None:
    """Have a function called at the end of the backward pass that is under way."""
    torch.autograd.Variable._execution_engine.queue_callback(callback)


def input_metadata(node: Any) -> Any:
    """Shapes, dtypes and devices of the gradients that a step takes."""
    return node._input_metadata


def saved(node: Any) -> list[Any]:
    """What a step of torch's own has saved for the backward pass."""
    return [getattr(node, name) for name in dir(node) if name.startswith("_saved_")]


# Tensors, optimisers, transforms.

copy_all = torch._foreach_copy_  # many tensors into many others at once


def version(tensor: Tensor) -> int:
    """How often a tensor was written to."""
    return tensor._version


def in_a_transform() -> bool:
    """Whether vmap, grad and the like, or a dispatch mode, is between the code and its tensors."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch._C._len_torch_dispatch_stack() > 0


def is_averaging() -> bool:
    """Whether torch's AveragedModel asks for a net's parameters, to pair them with all that its own copy has.

    It takes the copy's by `parameters()` of itself, which no net in it has a say in, and those of the net by the net's.
    """
    frame: Any = inspect.currentframe()
    for _ in range(CALLERS):
        frame = frame and frame.f_back
    return frame is not None and frame.f_code is AveragedModel.update_parameters.__code__


CALLERS = 3  # between them: of this function, of `named_parameters`, of torch's `parameters`


def has_stepped(optimizer: torch.optim.Optimizer) -> None:
    """Tell a scheduler that steps whose numbers are known were taken, so that it does not warn."""
    optimizer._opt_called = True  # type: ignore[attr-defined]
