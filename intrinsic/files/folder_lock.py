"""Locks of folders, where the system has them."""

import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which opens no folders either
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """Holds the lock of a folder until it is closed, or its process ends.

    Args:
        folder: to be locked; no link.
        wait: until another process lets go of it.

    Raises:
        BlockingIOError: if another one holds it, without `wait`.
        OSError: if there is no such folder.
    """

    is_held: bool  # whether it is: some file systems of clusters have no locks, and Windows none of folders

    def __init__(self, folder: str | Path, *, wait: bool = False) -> None:
        self.is_held, self._descriptor = False, None
        if fcntl is None:
            os.stat(folder)
            return
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            self.is_held = True
        except BlockingIOError:
            self.close()
            raise
        except OSError:
            pass

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
