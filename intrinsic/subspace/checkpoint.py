"""Seeds, coordinates and buffers in a safetensors file; never a pickle."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.files.tensors import bytes_of, read_tensors, write_tensors
from intrinsic.subspace import Subspace
from intrinsic.subspace.check_fit import check_fit
from intrinsic.subspace.recipe import from_recipe, recipe
from intrinsic.subspace.redrawn import Redrawn
from intrinsic.subspace.reparametrisation import without_reparametrisation
from intrinsic.surgery.as_it_was import as_it_was
from intrinsic.surgery.torch_internals import EXTRA_STATE


def save(net: Subspace, path: str | Path) -> None:
    """Write the trained numbers, the model's buffers, and in the metadata what draws P again: a few kB.

    What only helped to train them, such as a prefix's network, is left out where it can be (see
    `without_reparametrisation`).

    Raises:
        UserError: if the file cannot be written, or what is not trained was thawed, and may have moved.

    Examples:
        >>> import tempfile, torch, intrinsic
        >>> net = intrinsic.Subspace(torch.nn.Linear(200, 50), projection=intrinsic.OneHot, dim=10)
        >>> with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        ...     intrinsic.save(net, file.name)
        ...     len(open(file.name, "rb").read()) < 1000
        True
    """
    write_net(net, path)


def write_net(net: Subspace, path: str | Path, *, remedy: str = "give another path") -> None:
    """What `save` does, with an end of your own for the message of an error.

    Raises:
        UserError: if the file cannot be written.
    """
    if not isinstance(net, Subspace):
        raise UserError(f"need an intrinsic.Subspace to save, got {type(net).__name__}")
    tensors, metadata = _content(net)
    net.on_one_process(lambda: write_tensors(expand_path(path), tensors, metadata, remedy=remedy))


def stored_bytes(net: Subspace) -> int:
    """The size of the file that `save` would write."""
    return bytes_of(*_content(net))


def _content(net: Subspace) -> tuple[dict[str, Tensor], dict[str, Any]]:
    net.frozen.check()
    net = without_reparametrisation(net)
    return trained_state(net), {"recipe": recipe(net), "fingerprint": net.fingerprint()}


def load(model: nn.Module, path: str | Path) -> Subspace:
    """The subspace that `save` wrote, around a model equal to the one it was made around.

    `model` may also be a Subspace made in the same way, which is then filled: the way for spaces and projections of
    your own.

    Raises:
        UserError: if the file is none of ours, or belongs to another model, seed or projection; `model` is then as it
            was.

    Examples:
        >>> import copy, tempfile, torch, intrinsic
        >>> model = torch.nn.Linear(20, 5)
        >>> net = intrinsic.Subspace(copy.deepcopy(model), projection=intrinsic.OneHot, dim=10)
        >>> with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        ...     intrinsic.save(net, file.name)
        ...     intrinsic.load(model, file.name).dim
        10
    """
    tensors, metadata = read_tensors(path)
    if isinstance(model, Subspace):
        return _filled(model, tensors, metadata, path)
    with as_it_was(model), ExitStack() as undo:
        net = rebuild(model, path)
        undo.callback(net.unwrap)
        _filled(net, tensors, metadata, path)
        undo.pop_all()
    return net


def _filled(net: Subspace, tensors: dict[str, Tensor], metadata: Mapping[str, Any], path: str | Path) -> Subspace:
    rows = list(net.zero_rows)
    try:
        check_fit(net, metadata, path)
        load_trained(net, tensors, path)
    except UserError:
        net.zero_rows[:] = rows
        raise
    return net


def rebuild(model: nn.Module, path: str | Path) -> Subspace:
    """The subspace that `save` wrote, around a model, as it was before training: z = 0.

    Raises:
        UserError: if the file is none of ours, or its recipe does not fit the model, which is then as it was.
    """
    _, metadata = read_tensors(path)
    if "recipe" not in metadata:
        raise UserError(f"{path} was not written by intrinsic.save")
    try:
        return from_recipe(model, metadata["recipe"])
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise UserError(f"{path} has a recipe that this version cannot read: {str(error)[:200]}") from None


def trained_state(net: Subspace) -> dict[str, Tensor]:
    """What training changes: the trained parameters and the model's persistent buffers, by name."""
    names = {name for name, _ in net.named_parameters()}
    others = {name for name, _ in nn.Module.named_parameters(net, remove_duplicate=False)} - names
    others |= {name for name in net.state_dict() if name.endswith(EXTRA_STATE)}  # the file has its own fingerprint
    return {name: tensor for name, tensor in net.state_dict().items() if name not in others}


def load_trained(net: Subspace, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Fill what training changes from `tensors`.

    Raises:
        UserError: if a name or a shape does not fit; nothing is changed then.
    """
    own, past = trained_state(net), tensors.get("past") if isinstance(net, Redrawn) else None
    if past is not None and past.shape[1:] == own["past"].shape[1:]:
        own["past"] = past  # as long as it has become
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in own.items()}:
        raise UserError(f"{path} belongs to another model: it holds {shapes!s:.200}")
    for name, tensor in own.items():
        found = tensors[name].dtype
        if found != tensor.dtype and not (found.is_floating_point and tensor.is_floating_point()):
            raise UserError(f"{path} belongs to another model: {name} is of {found}, need {tensor.dtype}")
    if isinstance(net, Redrawn):
        net.follow(tensors["past"])
    with torch.no_grad():
        for name, tensor in trained_state(net).items():
            tensor.copy_(tensors[name])
