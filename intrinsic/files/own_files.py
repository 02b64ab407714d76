"""Files of the user's own that a run is made from: its id has their names, here is what they held."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from intrinsic.errors import UserError
from intrinsic.files.data_folder import data_folder
from intrinsic.files.expand_path import expand_path

DIGITS = 16  # hexadecimal, of a SHA-256
FOLDERS = 3  # in one another that are read: a dataset's, of a split, of a class
Config = Mapping[str, Any]


_OTHERS = (("model", "name"), ("tokenizer", "name"), ("projection", "file"))  # keys of a config


@dataclass(frozen=True)
class OwnFiles:
    """What files and folders held, by name: a hash, None for one that was not there."""

    hashes: dict[str, str | None]

    @classmethod
    def of(cls, config: Config, files: Sequence[str]) -> Self:
        """The `files` that a config's dataset reads, see `Task.files`, and the folders or files of its other parts.

        These are a local folder of a model and a tokenizer, and the file of a projection.
        """
        nodes = [(config.get(part), key) for part, key in _OTHERS]
        others = {node[key] for node, key in nodes if isinstance(node, Mapping) and isinstance(node.get(key), str)}
        found = {name: _hash_at(name, config) for name in sorted({*files, *others})}
        there = any(found[name] for name in files)  # else they came from elsewhere
        return cls({name: value for name, value in found.items() if value or (name in files and there)})

    def changed(self, config: Config) -> str | None:
        """What holds something else now, in words; None: nothing that is still there.

        Names that the config does not have are a stranger's, and not looked at.
        """
        for name, before in self.hashes.items():
            now = _hash_at(name, config)
            if now is not None and now != before:
                held = f"held other data (SHA-256 {before}, now {now})" if before else f"was not there (now {now})"
                return f"{name} {held}"
        return None

    def check(self, config: Config, made: object, remedy: str) -> None:
        """Check that the files hold what they held.

        Args:
            config: that names them.
            made: what was made from them.
            remedy: ends the message.

        Raises:
            UserError: if one that is still there holds something else.
        """
        if (said := self.changed(config)) is not None:
            raise UserError(f"when {made} was made, {said}: {remedy}")


def _hash_at(name: str, config: Config) -> str | None:
    """The hash of what has a name in a config: a path that it says, or a file in the data folder of its dataset."""
    dataset = config.get("dataset")
    try:
        if name in set(_texts([config.get(part) for part in ("dataset", "model", "tokenizer", "projection")])):
            return _hash(expand_path(name))
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if isinstance(dataset, Mapping) and "data_dir" in dataset and inside:
            return _hash(data_folder(dataset["data_dir"], name))
    except (UserError, OSError):  # unreadable: nothing to compare with
        return None
    return None


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping | list):
        for each in node.values() if isinstance(node, Mapping) else node:
            yield from _texts(each)


def _hash(path: Path) -> str | None:
    """Of a file's bytes, or of the names and bytes of a folder's files; None: there is neither."""
    if path.is_file():
        return _hash_file(path)
    if not path.is_dir():
        return None
    whole = hashlib.sha256()
    for file in _files(path, FOLDERS):
        whole.update(f"{file.relative_to(path).as_posix()}\0{_hash_file(file)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()[:DIGITS]


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """The regular files, those that begin with a dot left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif depth > 1 and path.is_dir():
            yield from _files(path, depth - 1)


def _hash_file(path: Path) -> str:
    state = os.stat(path)
    return _hash_read(str(path.absolute()), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(100_000)
def _hash_read(path: str, *_: int) -> str:
    """Of a file in a state: a process reads it once, however many runs it finds."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
