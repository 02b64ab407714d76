"""One call of a model, as the modules that were called and the operations that came of it."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.surgery.dataflow.example_inputs import example_inputs
from intrinsic.surgery.torch_internals import CALL_HOOKS, tree_flatten
from intrinsic.surgery.tree import skeleton


@dataclass(frozen=True)
class Call:
    """One call of a module: the operations that made its first input and its first output, and their shapes."""

    name: str
    module: nn.Module
    source: Any  # a node of autograd, None for an input of the model
    result: Any
    shapes: tuple[torch.Size, torch.Size]


@dataclass
class Record:
    """The calls of all modules, inner ones first, and the operations that made the model's outputs."""

    calls: list[Call] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)


def record(model: nn.Module) -> Record:
    """Call a copy of the model, in evaluation mode, on inputs made up for it (see `example_inputs`).

    The copy has shapes and no numbers, so that no model is too large; where its code asks for numbers, a second copy
    has the model's own, and few inputs. The model itself is not called, nor are its hooks.

    Raises:
        UserError: if there are no inputs that the model takes.
    """
    failure = "nothing is known of its inputs"
    for name, args, kwargs in example_inputs(model):
        for meta in (True, False):
            try:
                return _call(model, name, args, kwargs, meta=meta)
            except Exception as error:  # other people's code, on inputs that it may not expect
                failure = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:120]
    raise UserError(
        f"{type(model).__name__} cannot be called on made-up inputs ({failure}): give it an attribute dummy_inputs, "
        "tensors by the name of the argument"
    )


def _call(model: nn.Module, name: str, args: Any, kwargs: Any, *, meta: bool) -> Record:
    tree = skeleton(model, meta=meta)
    found = Record()
    for own, module in tree.named_modules():
        for kind in CALL_HOOKS:
            vars(module)[kind].clear()
        module.training = False

        def keep(module: nn.Module, args: Any, kwargs: Any, out: Any, own: str = own) -> None:
            before, after = _first((args, kwargs)), _first(out)
            if before is not None and after is not None:
                found.calls.append(Call(own, module, before.grad_fn, after.grad_fn, (before.shape, after.shape)))

        module.register_forward_hook(keep, with_kwargs=True)
    device = torch.device("meta") if meta else next(iter(model.parameters())).device
    args, kwargs = ([_like(x, tree, device) for x in args], {k: _like(x, tree, device) for k, x in kwargs.items()})
    with torch.enable_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = tree.get_submodule(name)(*args, **kwargs)
    found.ends = [leaf.grad_fn for leaf in _leaves(out) if leaf.grad_fn is not None]
    return found


def _like(x: Tensor, tree: nn.Module, device: torch.device) -> Tensor:
    """An input on a device; of the model's dtype, with a gradient, where it is no index."""
    x = x.to(device)
    if not x.is_floating_point():
        return x
    dtype = next((p.dtype for p in tree.parameters() if p.is_floating_point()), x.dtype)
    return x.to(dtype).requires_grad_().clone()  # no leaf: an operation made it


def _leaves(value: Any) -> list[Tensor]:
    if not isinstance(value, dict | list | tuple | Tensor):
        return []
    return [leaf for leaf in tree_flatten(dict(value) if isinstance(value, dict) else value)[0] if _has_past(leaf)]


def _has_past(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.grad_fn is not None


def _first(value: Any) -> Tensor | None:
    return next(iter(_leaves(value)), None)
