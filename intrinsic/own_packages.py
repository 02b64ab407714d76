"""Packages of the user's own, whose parts configs and files may name: INTRINSIC_ALLOW=my_package,other.

The environment of whoever runs the program says so, and nothing else: no config, checkpoint or record.
"""

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from intrinsic.errors import UserError

VARIABLE = "INTRINSIC_ALLOW"
OURS = ("intrinsic", "experiments", "analysis", "hydra_plugins")  # what may be named of these is said elsewhere
NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


def allowed() -> list[str]:
    """The packages, and modules beside packages, that `INTRINSIC_ALLOW` names.

    Raises:
        UserError: for what is no name of a package, and for the program's own and Python's.
    """
    names = _given()
    for name in names:
        if not re.fullmatch(NAME, name, re.ASCII) or name.partition(".")[0] in (*OURS, *sys.stdlib_module_names):
            raise UserError(f"need packages of your own, {VARIABLE}=my_package,other, got {name!r:.100} in {VARIABLE}")
    return names


def is_allowed(module: str) -> bool:
    """Whether a module is one of the allowed ones, or inside of one; nothing is imported."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed())


def how_to_allow(name: str) -> str:
    """What to do, if anything, for a class or function of this full name to be found: the end of a message."""
    top = name.partition(".")[0]
    if not re.fullmatch(rf"(?!__main__\b){NAME}", name, re.ASCII) or "." not in name:
        return ""
    if top in (*OURS, "torch", *sys.stdlib_module_names):
        return ""
    return f"; if the package {top} is your own, or you trust it, set {VARIABLE}={','.join([*_given(), top])}"


def own_module(name: str) -> ModuleType:
    """Import an allowed module, from Python's path or, after all others, from `look_in`.

    Raises:
        UserError: if it is not allowed, or not there. What it raises itself is its author's.
    """
    if not is_allowed(name):
        raise UserError(f"{name} is not in a package that may be imported{how_to_allow(f'{name}.')}")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise UserError(
            f"there is no module {name} on Python's path or in {Path.cwd()}: install its package, or start beside it"
        ) from None


def own_part(name: str) -> Any:
    """The class or function of an allowed package that has this full name; None if it defines none.

    Raises:
        UserError: as `own_module`.
    """
    module, _, attribute = name.rpartition(".")
    found = getattr(own_module(module), attribute, None)
    home = getattr(found, "__module__", None)
    return found if isinstance(home, str) and is_allowed(home) else None


def part_name(kind: type) -> str:
    """The name by which files know a space or a projection: its class's own if it is ours, else with its module."""
    return kind.__name__ if kind.__module__.startswith("intrinsic.") else f"{kind.__module__}.{kind.__qualname__}"


def look_in(folder: Path) -> None:
    """Find allowed packages in a folder, too, where Python finds them nowhere else; and nothing else there.

    A folder on Python's path would have every import look there: whatever lies in the folder in which somebody starts
    would stand for optional packages that are not installed.
    """
    sys.meta_path[:] = [*(finder for finder in sys.meta_path if not isinstance(finder, _Beside)), _Beside(folder)]


class _Beside(MetaPathFinder):
    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None and any(fullname == name.partition(".")[0] for name in _given()):
            return PathFinder.find_spec(fullname, [self.folder])
        return None


def _given() -> list[str]:
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
