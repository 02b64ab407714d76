"""Folders for what is not whole yet."""

import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from intrinsic.files.folder_lock import FolderLock

NAME = re.compile(r"\.partial-intrinsic-([0-9a-f]{8})-\w+")
DAY = 86400  # seconds


@contextmanager
def partial(parent: Path) -> Iterator[Path]:
    """A new folder in `parent` that is gone afterwards, as far as it can be removed.

    Its writer holds its lock. A kill leaves the folder and lets go of the lock, and the next writer in `parent` removes
    what nobody holds. The locks of other machines may not be seen here: what they left is removed when a day old.

    Raises:
        OSError: if it cannot be made.
    """
    _remove_leftovers(parent)
    folder, lock = _claimed(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _claimed(parent: Path) -> tuple[Path, FolderLock]:
    """A new folder and its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=f".partial-intrinsic-{_machine()}-"))
        with suppress(FileNotFoundError, BlockingIOError):  # taken for a leftover before it was locked
            lock = FolderLock(folder)
            if folder.exists():
                return folder, lock
            lock.close()


def _remove_leftovers(parent: Path) -> None:
    with suppress(OSError), os.scandir(parent) as entries:  # a folder may let one write, and not list
        for entry in entries:
            name = NAME.fullmatch(entry.name)
            if name is not None:
                with suppress(OSError):  # somebody holds it, or has removed it
                    _remove_leftover(entry.path, ours=name[1] == _machine())


def _remove_leftover(folder: str, *, ours: bool) -> None:
    lock = FolderLock(folder)
    try:
        if (ours and lock.is_held) or time.time() - os.lstat(folder).st_mtime > DAY:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.close()


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"
