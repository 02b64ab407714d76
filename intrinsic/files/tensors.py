"""Tensors in a file, with one JSON text beside them."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor

from intrinsic.checks import check_memory
from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.files.expand_path import expand_path


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any], *, remedy: str = "give another path"
) -> None:
    """Write a safetensors file atomically, its metadata as one JSON text.

    Raises:
        UserError: if it cannot be written.
    """
    content, text = _contiguous(tensors), {"intrinsic": json.dumps(metadata)}
    write_atomically(path, lambda temporary: save_file(content, temporary, text), remedy=remedy)


def bytes_of(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> int:
    """The size of the file that `write_tensors` would write; it is made in memory."""
    return len(save(_contiguous(tensors), {"intrinsic": json.dumps(metadata)}))


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on a CPU, each with memory of its own."""
    contiguous: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        # safetensors refuses tensors that share memory, such as the buffers of a layer with two names
        contiguous[name] = tensor.clone() if tensor.untyped_storage().data_ptr() in seen else tensor
        seen.add(tensor.untyped_storage().data_ptr())
    return contiguous


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        UserError: if there is no such file, it is damaged, or another program wrote it.
    """
    try:
        path = expand_path(path)
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file: need one that intrinsic.save wrote")
        check_memory(path.stat().st_size, path)
        with safe_open(path, "pt") as file:
            metadata = dict(json.loads((file.metadata() or {})["intrinsic"]))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or not a safetensors file: {error}") from None
    except UserError:
        raise
    except (KeyError, ValueError, TypeError, RecursionError):
        raise UserError(f"{path} was not written by intrinsic") from None
