"""Copies of a tree of modules: of its tensors, too, or over the same."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from intrinsic.inject import parameter_slots


def copied(model: nn.Module, shared: Iterable[Tensor] = ()) -> nn.Module:
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
    tree = copied(model, shared)
    if weights:
        slots = parameter_slots(model)
        names = {name: slots[id(model.get_parameter(name))] for name in weights}
        for name, weight in weights.items():
            _place(tree, names[name], nn.Parameter(weight.detach(), requires_grad=False))
    return tree


def separate(tree: nn.Module, names: Iterable[str], model: nn.Module) -> None:
    """Give a tree its own copies of those of its parameters, by name, that it shares with a model."""
    shared, slots = {id(parameter) for parameter in model.parameters()}, parameter_slots(tree)
    for name in names:
        parameter = tree.get_parameter(name)
        if id(parameter) in shared:
            _place(tree, slots[id(parameter)], nn.Parameter(parameter.detach().clone()))


def _place(tree: nn.Module, slots: Iterable[str], parameter: nn.Parameter) -> None:
    for slot in slots:
        owner, _, leaf = slot.rpartition(".")
        tree.get_submodule(owner)._parameters[leaf] = parameter
