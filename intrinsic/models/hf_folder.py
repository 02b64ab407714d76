"""Where a pretrained model lies."""

import importlib.util
from pathlib import Path
from types import ModuleType

from intrinsic.errors import UserError

PACKAGE = "package:"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def hf_folder(name: str | None, *, weights: bool) -> str:
    """The folder of a pretrained model, or its id on the hub.

    `name`: a folder; package:<package>/<folder>, inside an installed Python package, which is not imported; or what
    is neither, an id on the hub.

    Raises:
        UserError: for a package that is not installed, and for a folder without config.json or, where `weights` are
            asked for, without weights in safetensors: a pickle can run any code when it is read.
    """
    if not isinstance(name, str) or not name:
        raise UserError(f"need model.name as a folder or a hub id, got model.name={name!r}: take one, or model=minilm")
    path = Path(name).expanduser()
    if name.startswith(PACKAGE):
        package, _, inside = name.removeprefix(PACKAGE).partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise UserError(f"the package {package} is missing: pip install -e '.[text]'")
        path = Path(spec.origin).parent / inside
    elif not path.is_dir():
        if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
            raise UserError(f"there is no folder {name}: need one with config.json and model.safetensors")
        return name
    if not (path / "config.json").is_file():
        raise UserError(f"{path} has no config.json: need a folder as save_pretrained of transformers writes it")
    if weights and not any((path / file).is_file() for file in WEIGHTS):
        pickled = [file for file in PICKLED if (path / file).is_file()]
        if pickled:
            raise UserError(f"{path} has pickled weights, {pickled[0]}, which may run code: save as model.safetensors")
        raise UserError(f"{path} has no model.safetensors: add it, or take init=random")
    return str(path)


def hf_import() -> ModuleType:
    """The package transformers, which is slow to import and not always there.

    Raises:
        UserError: if it is missing.
    """
    try:
        import transformers
    except ImportError:
        raise UserError("the package transformers is missing: pip install -e '.[text]'") from None
    module: ModuleType = transformers
    return module
