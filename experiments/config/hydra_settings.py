"""The settings of Hydra in a config: our sweepers and launchers with their values; all else is as it is here."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.config.hydra_internals import BASIC_LAUNCHER
from experiments.config.place import check_place
from intrinsic.errors import UserError

ROOT = Path(__file__).parent.parent.parent
CONF, PLUGINS = ROOT / "conf", ROOT / "hydra_plugins"
FIXED = ("run", "sweep", "output_subdir")  # where Hydra writes
EMPTY = ("callbacks", "searchpath", "job.env_set", "job.env_copy")  # what it calls, reads and sets
LOGGING = ("hydra_logging", "job_logging")  # a handler calls any class, and writes any file
OWN = ("", "_target_")  # the key of a sweeper or a launcher itself
SILENT = {"version", "root", "disable_existing_loggers"}


def check_hydra(config: DictConfig) -> None:
    """Check a composed config before Hydra acts on it.

    A launcher's texts (commands, folders, addresses) are those of its own file or of the command line: nobody else's
    experiment brings its own.

    Raises:
        UserError: for a callback, a logging handler, a folder or an environment of Hydra's that is not ours, a sweeper
            or launcher that is not, whatever is to be called inside of them, and a study that is no plain name.
    """
    raw: dict[str, Any] = OmegaConf.to_container(config.hydra, resolve=False)  # type: ignore[assignment]
    ours = _ours("config.yaml")["hydra"]
    for key in EMPTY:
        if _at(raw, key):
            raise UserError(f"hydra.{key} is refused, got {_at(raw, key)}: leave it empty")
    for key in FIXED:
        if raw[key] != ours[key]:
            raise UserError(f"hydra.{key} is fixed: output= and study= say where runs lie; got hydra.{key}={raw[key]}")
    for key in LOGGING:
        node = raw[key]
        silent = isinstance(node, dict) and node.keys() <= SILENT and set(node.get("root") or {}) <= {"level"}
        if not silent:
            raise UserError(f"hydra/{key} is refused: need hydra/{key}=disabled; the program prints its own lines")
    if not isinstance(raw["verbose"], bool):
        raise UserError(f"need hydra.verbose=true or false, got hydra.verbose={raw['verbose']}")
    for key in ("sweeper", "launcher"):
        _check_plugin(key, config.hydra[key])
    _check_texts(raw["launcher"], config)
    if "study" in config and "output" in config:
        check_place(config["output"], config["study"])


@cache
def _ours(name: str) -> Any:
    """The values in a file of this program's configs; none where there is no such file."""
    file = CONF / name
    return OmegaConf.to_container(OmegaConf.load(file), resolve=False) if file.is_file() else {}


def _at(node: Any, path: str) -> Any:
    """The value at a path; of an interpolation on the way, which may lead anywhere, itself."""
    for key in path.split("."):
        node = node[key] if isinstance(node, Mapping) else node
    return node


def _check_plugin(key: str, node: Any) -> None:
    """Refuse what is not ours, and whatever would be called inside of it."""
    values: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else {}
    target = str(values.get("_target_"))
    if not _is_ours(target, key):
        raise UserError(f"hydra.{key} is refused, with _target_={target}: need hydra/{key}={' or '.join(_names(key))}")
    inner = [name for path, name in _keys(values) if re.fullmatch(r"_\w+_|\(\)", name) and (path, name) != OWN]
    if inner:
        raise UserError(f"{inner[0]} is refused inside hydra.{key}: need plain values")


def _is_ours(target: str, key: str) -> bool:
    """Whether it is the class of a file of ours: GridSweeper of hydra_plugins/grid_sweeper.py."""
    if (key, target) == ("launcher", BASIC_LAUNCHER):
        return True
    found = re.fullmatch(rf"hydra_plugins\.([a-z]\w*_{key})\.(\w+)", target, re.ASCII)
    if found is None or not (PLUGINS / f"{found[1]}.py").is_file():
        return False
    return found[1].replace("_", "") == found[2].lower()


def _names(key: str) -> list[str]:
    return sorted({"basic", *(path.stem for path in (CONF / "hydra" / key).glob("*.yaml"))})


def _keys(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The keys of nested mappings, each after the path to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield path, str(key)
            yield from _keys(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from _keys(value, f"{path}[]")


def _check_texts(launcher: Any, config: DictConfig) -> None:
    """Refuse texts in a launcher's values that neither its own file has nor the command line."""
    choice = str(config.hydra.runtime.choices.get("hydra/launcher"))
    own = _ours(f"hydra/launcher/{choice}.yaml") if re.fullmatch(r"\w+", choice) else {}
    given = [override.lstrip("+").partition("=")[0] for override in config.hydra.overrides.hydra]
    known = dict(_leaves(own, "hydra.launcher"))
    for path, value in _leaves(launcher, "hydra.launcher"):
        asked = any(path == key or path.startswith(f"{key}.") for key in given)
        if (
            isinstance(value, str | list)
            and not asked
            and path != "hydra.launcher._target_"
            and known.get(path) != value
        ):
            raise UserError(f"{path} is taken from the command line or conf/hydra/launcher alone, got {path}={value}")


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}")
    else:
        yield path, node
