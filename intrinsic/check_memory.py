"""Whether what a file announces fits into memory."""

from pathlib import Path

import psutil

from intrinsic.errors import UserError


def check_memory(nbytes: int, path: Path | str) -> None:
    """Check, before anything is allocated, that `nbytes` for the content of `path` are free.

    Raises:
        UserError: if they are not.
    """
    free = psutil.virtual_memory().available
    if nbytes > free:
        raise UserError(
            f"{path} needs {nbytes / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory are free: take a smaller one"
        )
