"""The folder of downloaded datasets."""

import os
from pathlib import Path

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.files.expand_path import expand_path


def data_folder(data_dir: str | Path | None, name: str) -> Path:
    """Return the folder of dataset `name`: in `data_dir`, else in $INTRINSIC_DATA, else in ~/.cache/intrinsic.

    Raises:
        UserError: when `data_dir` is neither None nor a path.
    """
    if data_dir is None:
        data_dir = os.environ.get("INTRINSIC_DATA") or "~/.cache/intrinsic"
    if not isinstance(data_dir, str | Path) or not str(data_dir):
        raise UserError(f"need data_dir as the path of a folder, or null, got data_dir={data_dir!r}")
    return expand_path(data_dir) / name


def write_data(path: Path, content: bytes) -> None:
    """Write a file so that it is there completely or not at all, and create its folder if need be.

    Raises:
        UserError: when the folder cannot be written to.
    """
    remedy = "choose another folder with data_dir=... or INTRINSIC_DATA"
    write_atomically(path, lambda partial: partial.write_bytes(content), remedy=remedy)
