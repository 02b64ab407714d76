"""The tree of modules: places of parameters, modules swapped, copies of the tree over the same tensors or their own."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from intrinsic.surgery.torch_internals import own_parameters
from intrinsic.surgery.wrapper import Wrapper


def parameter_slots(model: nn.Module) -> dict[int, list[str]]:
    """By a parameter's id, a name for each place that holds it: several if it is tied.

    A module with two names counts once: `functional_call` would not put its parameters back.
    """
    slots: dict[int, list[str]] = {}
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            slots.setdefault(id(parameter), []).append(f"{prefix}.{name}".lstrip("."))
    return slots


def swap(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` is a child, under every name it has, and where a module keeps it in a list, say.

    What hangs on a module goes from a layer to the wrapper in its place, and back (see `Wrapper`).

    Raises:
        UserError: if it cannot go back; nothing is swapped then.
    """
    if isinstance(old, Wrapper) and old.base is new:
        old.release()
    for parent in list(model.modules()):
        for name, value in list(vars(parent).items()):  # `_modules` among them: named_children leaves aliases out
            if value is old:
                vars(parent)[name] = new
            elif isinstance(value, dict | list):
                for key in [key for key, item in _items(value) if item is old]:
                    value[key] = new
            elif type(value) is tuple and any(item is old for item in value):
                vars(parent)[name] = tuple(new if item is old else item for item in value)
    if isinstance(new, Wrapper) and new.base is old:
        new.take_over()


def _items(value: dict[Any, Any] | list[Any]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def unwrap(model: nn.Module, kind: type[Wrapper]) -> None:
    """Put the bases of all wrappers of a kind back, but for those that are `kept`.

    Raises:
        UserError: if one cannot go; none has gone then.
    """
    wrappers = [module for module in model.modules() if isinstance(module, kind) and not module.kept]
    for wrapper in wrappers:
        wrapper.check_release()
    for wrapper in wrappers:
        swap(model, wrapper, wrapper.base)


def copy_model(model: nn.Module, shared: Iterable[Tensor] = ()) -> nn.Module:
    """A deep copy of a model, whatever its modules keep; the `shared` tensors are in it themselves.

    Results of autograd, such as the weight that `weight_norm` has put into its layer in the last call, are copied
    without their past, with which Python's own `deepcopy` refuses them.
    """
    with _WithoutPast():
        return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


class _WithoutPast(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            return args[1].setdefault(id(args[0]), args[0].detach().clone())
        return func(*args, **(kwargs or {}))


def twin(model: nn.Module, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
    """A copy of a model's modules that holds the same parameters and non-persistent buffers, not copies of them.

    What is swapped in one of both does not touch the other; persistent buffers, which training changes, are its own.

    Args:
        model: any module.
        weights: tensors by a parameter's name: what the copy has in all places of that parameter instead, frozen.
    """
    kept = set(model.state_dict(keep_vars=True))
    shared: list[Tensor] = [*model.parameters(), *(b for name, b in model.named_buffers() if name not in kept)]
    tree = copy_model(model, shared)
    if weights:
        slots = parameter_slots(model)
        names = {name: slots[id(model.get_parameter(name))] for name in weights}
        for name, weight in weights.items():
            _place(tree, names[name], nn.Parameter(weight.detach(), requires_grad=False))
    return tree


def skeleton(model: nn.Module, *, meta: bool) -> nn.Module:
    """A copy of a model's modules to look at: every parameter a new one that takes a gradient, no numbers copied.

    With `meta` they have shapes and no numbers; else they are the model's, in the same memory.
    """
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        other = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta") if meta else tensor.detach()
        wide = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(other, requires_grad=other.is_floating_point()) if wide else other
    with _WithoutPast():
        found: nn.Module = copy.deepcopy(model, memo)
    return found


def separate(tree: nn.Module, names: Iterable[str], model: nn.Module) -> None:
    """Give a tree its own copies of those of its parameters, by name, that it shares with a model."""
    shared, slots = {id(parameter) for parameter in model.parameters()}, parameter_slots(tree)
    for name in names:
        parameter = tree.get_parameter(name)
        if id(parameter) in shared:
            own = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
            _place(tree, slots[id(parameter)], own)


def _place(tree: nn.Module, slots: Iterable[str], parameter: nn.Parameter) -> None:
    for slot in slots:
        owner, _, leaf = slot.rpartition(".")
        own_parameters(tree.get_submodule(owner))[leaf] = parameter
