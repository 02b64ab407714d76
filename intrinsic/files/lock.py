"""One process at a time: what two would do twice, or into the same file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from intrinsic.errors import UserError
from intrinsic.terminal.say import say


@contextmanager
def locked(path: Path, *, purpose: str, setting: str) -> Iterator[None]:
    """Hold the lock of that name; if another process has it, wait until it lets go or dies, and say so on stderr.

    The file is there while somebody holds or awaits the lock, and after a kill until the next one lets go of it; it
    says nothing by itself. `purpose` completes "waiting for another process, which ...", `setting` is the name of the
    option that chooses the folder.

    Raises:
        UserError: if the file cannot be made.
    """
    lock = FileLock(path, poll_interval=0.2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say(f"waiting for another process, which {purpose}", sys.stderr)
            lock.acquire()
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; choose another folder with {setting}="
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # a folder that became read-only: the file says nothing by itself
            path.unlink(missing_ok=True)  # still held: who awaits it sees that the file is gone, and begins anew
        lock.release()
