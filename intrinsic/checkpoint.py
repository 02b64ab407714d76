"""Seeds, coordinates and buffers in a safetensors file; never a pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from intrinsic.check_fit import check_fit
from intrinsic.check_memory import check_memory
from intrinsic.errors import UserError
from intrinsic.expanded import expanded
from intrinsic.files.atomic import write_atomically
from intrinsic.recipe import from_recipe, recipe
from intrinsic.settled import settled
from intrinsic.subspace import Subspace


def save(net: Subspace, path: str | Path) -> None:
    """Write the trained numbers, the model's buffers, and in the metadata what draws P again: a few kB.

    What only helped to train them, such as a prefix's network, is left out where it can be (see `settled`).

    Raises:
        UserError: if the file cannot be written.
    """
    write_net(net, path)


def write_net(net: Subspace, path: str | Path, *, remedy: str = "give another path") -> None:
    """What `save` does, with an end of your own for the message of an error.

    Raises:
        UserError: if the file cannot be written.
    """
    if not isinstance(net, Subspace):
        raise UserError(f"need an intrinsic.Subspace to save, got {type(net).__name__}")
    net = settled(net)
    metadata = {"recipe": recipe(net), "fingerprint": net.fingerprint()}
    write_tensors(expanded(path), trained_state(net), metadata, remedy=remedy)


def load(model: nn.Module, path: str | Path) -> Subspace:
    """The subspace that `save` wrote, around a model equal to the one it was made around.

    `model` may also be a Subspace made in the same way, which is then filled: the way for spaces and projections of
    your own.

    Raises:
        UserError: if the file is none of ours, or belongs to another model, seed or projection; `model` is then as it
            was.
    """
    tensors, metadata = read_tensors(path)
    net = model if isinstance(model, Subspace) else rebuild(model, path)
    try:
        check_fit(net, metadata, path)
        load_trained(net, tensors, path)
    except Exception:
        if net is not model:
            net.unwrap()
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
    others |= {name for name in net.state_dict() if name.endswith("_extra_state")}  # the file has its own fingerprint
    return {name: tensor for name, tensor in net.state_dict().items() if name not in others}


def load_trained(net: Subspace, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Fill what training changes from `tensors`.

    Raises:
        UserError: if a name or a shape does not fit; nothing is changed then.
    """
    own = trained_state(net)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in own.items()}:
        raise UserError(f"{path} belongs to another model: it holds {shapes!s:.200}")
    for name, tensor in own.items():
        found = tensors[name].dtype
        if found != tensor.dtype and not (found.is_floating_point and tensor.is_floating_point()):
            raise UserError(f"{path} belongs to another model: {name} is of {found}, need {tensor.dtype}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as tensors, and what is not a tensor as plain values."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                values[f"{index}.{key}"] = value
    return tensors, values


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put back what `optimizer_state` gave, into an optimiser made in the same way."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **values}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any], *, remedy: str = "give another path"
) -> None:
    """Write a safetensors file atomically, its metadata as one JSON text.

    Raises:
        UserError: if it cannot be written.
    """
    contiguous: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        # safetensors refuses tensors that share memory, such as the buffers of a layer with two names
        contiguous[name] = tensor.clone() if tensor.untyped_storage().data_ptr() in seen else tensor
        seen.add(tensor.untyped_storage().data_ptr())
    text = {"intrinsic": json.dumps(metadata)}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary, text), remedy=remedy)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        UserError: if there is no such file, it is damaged, or another program wrote it.
    """
    try:
        path = expanded(path)
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no regular file: need one that intrinsic.save wrote")
        check_memory(path.stat().st_size, path)
        with safe_open(path, "pt") as file:
            metadata = dict(json.loads((file.metadata() or {})["intrinsic"]))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or no safetensors file: {error}") from None
    except UserError:
        raise
    except (KeyError, ValueError, TypeError, RecursionError):
        raise UserError(f"{path} was not written by intrinsic") from None
