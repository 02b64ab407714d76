"""A record that says nothing of the machine's places."""

import re
from dataclasses import fields
from pathlib import Path, PureWindowsPath
from typing import Any

from intrinsic.files.records import Record, content_of

AGAIN = "delete its folder and run it again"
# what stands for a place, or an account
UNTOLD: dict[str, Any] = {"output": "outputs", "logger": {}, "data_dir": None, "files": None}
# the folders of a path in a message: absolute, below a home, of Windows or of a share
FOLDERS = re.compile(
    r"""(?<![\w.:/~])(?:~[\w.-]*/|/)(?:[^\s/'",:;()]+/)*|(?<!\w)(?:[A-Za-z]:\\|\\\\)(?:[^\s\\'",:;()]+\\)*"""
)
ABSOLUTE = re.compile(r"~|/|[A-Za-z]:[\\/]|\\\\")


def public_record(folder: Path) -> dict[str, Any]:
    """What record.json in a run's folder says, without where the run lay, its data came from, and who was told.

    Numbers, the run's id and all other knobs are as they were. Of a path on that machine the last part stays: of a
    model's folder the name.

    Args:
        folder: with a record that `row_of` takes.

    Raises:
        UserError: if it cannot be read.
    """
    content = content_of(folder, AGAIN)
    known = {field.name for field in fields(Record)}
    return {name: _public(value, name) for name, value in content.items() if name in known}


def _public(node: Any, key: str = "") -> Any:
    if key in UNTOLD and node is not None:
        return UNTOLD[key]
    if isinstance(node, dict):
        return {name: _public(value, name) for name, value in node.items()}
    if isinstance(node, list):
        return [_public(value) for value in node]
    if not isinstance(node, str):
        return node
    if key == "error":
        return FOLDERS.sub("", node)
    return (PureWindowsPath(node).name or node) if ABSOLUTE.match(node) else node  # it knows both kinds of slashes
