"""Whether what somebody asks for fits into memory."""

from pathlib import Path

import psutil

from intrinsic.errors import UserError


def check_memory(nbytes: int, what: Path | str) -> None:
    """Check, before anything is allocated, that `nbytes` for `what`, a file or a model, are free.

    Raises:
        UserError: if they are not.
    """
    free = psutil.virtual_memory().available
    if nbytes > free:
        needed = min(nbytes, 10**24) / 1e9  # a float, whatever was asked for
        raise UserError(f"{what} needs {needed:.1f} GB, {free / 1e9:.1f} GB of memory are free: take a smaller one")
