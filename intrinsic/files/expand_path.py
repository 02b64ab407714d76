"""Paths as users write them."""

import os
from pathlib import Path

from intrinsic.errors import UserError


def expand_path(path: str | Path) -> Path:
    """The path with the home folder in the place of ~.

    Raises:
        UserError: when there is no such home folder, or no file system has such a path.
    """
    if not isinstance(path, str | Path):
        raise UserError(f"need the path of a file, got {type(path).__name__}")
    try:
        found = Path(path).expanduser()
        os.stat(found)
    except FileNotFoundError:
        return found
    except RuntimeError:
        raise UserError(f"there is no home folder for {str(path)[:200]!r}: give the whole path") from None
    except (OSError, ValueError) as error:  # too long, a loop of links, a file as a folder; a NUL
        raise UserError(
            f"cannot use the path {str(path)[:200]!r} ({getattr(error, 'strerror', None) or error}): use another one"
        ) from None
    return found
