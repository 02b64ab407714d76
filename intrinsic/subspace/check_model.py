"""Checks of what a Subspace is made around, and of."""

import warnings
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from intrinsic.checks import check_module
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.spaces.base import Space
from intrinsic.surgery.sharding import is_sharded
from intrinsic.surgery.torch_internals import PARAMETERS, own_parameters


def check_model(model: Any, space: Any, projection: Any) -> None:
    """Check that a model's parameters can be moved, and that a space and a projection are what they are called.

    Raises:
        UserError: if not: for a model that is no module, holds a Subspace, is compiled by TorchScript, or has
            parameters without values.
    """
    check_module(model)
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UserError(
                f"{name or 'the model'} is compiled by TorchScript, which fixes its weights: use the Python one"
            )
        if hasattr(module, "projection") and isinstance(module.projection, Projection):
            raise UserError(f"{name or 'the model'} is a Subspace itself: use what its merge() returns")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise UserError(f"{name} is of a lazy layer and has no shape yet: call the model on a batch first")
        if tensor.is_meta:
            raise UserError(f"{name} is on the meta device and has no values: load the model's weights first")
    if not isinstance(space, Space):
        example = f"{space.__name__}(...)" if isinstance(space, type) else "intrinsic.LoRA(rank=8)"
        raise UserError(f"need a space such as {example}, got space={_shown(space)}")
    made = getattr(projection, "func", projection)
    known = issubclass(made, Projection) if isinstance(made, type) else not isinstance(made, nn.Module)
    if not callable(made) or not known:
        raise UserError(
            "need a projection class such as intrinsic.Fastfood, or a partial of one, got "
            f"projection={_shown(projection)}"
        )


def check_parameters(model: nn.Module, trained: Collection[str], moved: Collection[str]) -> None:
    """Check that each parameter is moved by what is meant to move it, and by nothing else.

    Args:
        model: any module.
        trained: the names of those of its parameters that are trained as they are.
        moved: of those that move by an offset each.

    Raises:
        UserError: if a call of the model writes into what is to stay, as embeddings do that read rows beyond max_norm:
            theta_0 would be another one after a call of the base, and a file of the net fit no base. Or if one that is
            moved has its memory in common with another one, as after `a.weight.data = b.weight.data`: P would have rows
            for both, and untie them.
    """
    _check_tables(model, trained)
    _check_apart(model, moved)


def warn_of_references(model: nn.Module, coordinates: Iterable[nn.Parameter]) -> None:
    """Warn of parameters that a module also holds elsewhere: a forward that reads them there sees theta_0 alone."""
    moved = {id(parameter) for parameter in coordinates}
    for name, module in model.named_modules():
        if isinstance(module, nn.RNNBase):
            continue  # brings its list up to date itself
        for attribute, value in vars(module).items():
            items = value.values() if isinstance(value, dict) else value
            found = items if isinstance(value, list | tuple | dict) else [value]
            if attribute != PARAMETERS and any(id(item) in moved for item in found):
                warnings.warn(
                    f"{type(module).__name__} {name!r} holds a parameter in its attribute {attribute!r}, too: what is "
                    "computed with it there does not move; register it as a parameter, or leave it out of the space",
                    stacklevel=4,
                )


@torch.no_grad()
def _check_tables(model: nn.Module, trained: Collection[str]) -> None:
    free = {id(parameter) for name, parameter in model.named_parameters() if name in trained}
    for name, table in model.named_modules():
        if not isinstance(table, nn.Embedding | nn.EmbeddingBag) or table.max_norm is None:
            continue
        weight = own_parameters(table).get("weight")
        if weight is None or id(weight) in free or is_sharded(weight):
            continue
        rows = torch.arange(len(weight), device=weight.device)
        shortened = torch.embedding_renorm_(weight.clone(), rows, table.max_norm, table.norm_type)
        if not bool(((shortened == weight) | weight.isnan()).all()):
            raise UserError(
                f"{name or 'the model'} has rows beyond its max_norm={table.max_norm:g}, which torch shortens in place "
                "when it reads them: look all of them up before, twice as torch rounds, or set max_norm=None"
            )


def _check_apart(model: nn.Module, moved: Collection[str]) -> None:
    spans = [
        (str(p.device), p.data_ptr(), p.data_ptr() + p.nbytes, name)
        for name, p in model.named_parameters()
        if type(p) is nn.Parameter and not is_sharded(p) and p.is_contiguous() and p.numel()
    ]
    last = ("", 0, 0, "")
    for span in sorted(spans):
        if span[0] == last[0] and span[1] < last[2] and {span[3], last[3]} & set(moved):
            raise UserError(
                f"{last[3]} and {span[3]} are two parameters in the same memory, of which each would move by itself: "
                "make them one (b.weight = a.weight), or give each its own (b.weight.data.clone())"
            )
        last = max(last, span, key=lambda each: (each[0], each[2]))


def _shown(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else f"{value!r:.60}"
