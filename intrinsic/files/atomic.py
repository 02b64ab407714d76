"""Write files and folders that are whole or absent, whatever ends the program that writes them."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from intrinsic.errors import UserError

Write = Callable[[Path], Any]
CANNOT = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # file systems that know no fsync


def write_atomically(path: Path, write: Write, *, remedy: str = "give another path") -> None:
    """Let `write` fill a temporary file, then rename it to `path`: a kill or a power cut leaves the old one or the new.

    A link stays, and what it points to is replaced. A file that is there keeps its permissions and, as far as that is
    allowed, its owner; a new one gets the permissions that any new file gets. Folders are made if need be.

    Args:
        path: of a regular file, or of none yet.
        write: is given the path of the temporary file, which has the same name.
        remedy: ends the message of an error.

    Raises:
        UserError: if it cannot be written, or what is there is no regular file.
    """
    write_together({path: write}, remedy=remedy)


def write_together(files: Mapping[Path, Write], *, remedy: str = "give another path") -> None:
    """Write files that are right only together, as `write_atomically` does each; others beside them stay.

    The last is to be the one without which no reader takes the others. It is taken away before the first of the others
    is replaced, and comes last: after a kill or a power cut all are old, or all are new, or the last one is missing.

    Raises:
        UserError: if one cannot be written, or what is there is no regular file; all are then as they were.
    """
    with ExitStack() as stack:
        staged: dict[Path, Path] = {}
        for path, write in files.items():
            with _one_line(path, remedy):
                target = _target(path)
            with _one_line(path.parent, remedy):
                _make_folder(target.parent)
            with _one_line(path, remedy):
                staged[target] = stack.enter_context(_staged(target, write))
        with _one_line(path, remedy), _alone(target.parent, len(files)):
            _replace(staged)


def write_folder(folder: Path, write: Write, *, remedy: str = "give another path") -> None:
    """Let `write` fill a temporary folder, then rename it to `folder`, which is not there yet.

    Raises:
        UserError: if it cannot be written, or something is there.
    """
    with _one_line(folder, remedy):
        if os.path.lexists(folder):
            raise OSError("it is there already")
        _make_folder(folder.parent)
        with _partial(folder.parent) as partial:
            written = partial / folder.name
            written.mkdir()
            write(written)
            mode = _mode_of_new(partial)
            for path in [*written.rglob("*"), written]:
                if path.is_file():
                    os.chmod(path, mode)
                _sync(path)
            os.rename(written, folder)
        _sync_folder(folder.parent)


def _target(path: Path) -> Path:
    """The file that a path means: where a link points to, which may be nowhere yet."""
    with suppress(FileNotFoundError, NotADirectoryError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("it is no regular file")
    return Path(os.path.realpath(path))


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, and see that they outlast a power cut."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync_folder(each.parent)


@contextmanager
def _staged(target: Path, write: Write) -> Iterator[Path]:
    """The new content of `target` in a file beside it, on the disk."""
    with _partial(target.parent) as partial:
        temporary = partial / target.name
        mode = _mode_of_new(partial)
        temporary.touch()
        write(temporary)
        _sync(temporary)
        if target.exists():
            old = target.stat()
            mode = old.st_mode & 0o777
            with suppress(PermissionError):  # root alone may give a file away
                os.chown(temporary, old.st_uid, old.st_gid)
        os.chmod(temporary, mode)  # safetensors makes files that nobody else can read
        yield temporary


def _replace(staged: Mapping[Path, Path]) -> None:
    """Put temporary files in the places of their targets, the last one in the way of `write_together`."""
    *others, last = staged
    aside = staged[last].with_name(".aside")
    try:
        if others and last.exists():
            os.replace(last, aside)
            _sync_folder(last.parent)
        for target in others:
            os.replace(staged[target], target)
            _sync_folder(target.parent)
    except BaseException:
        if aside.exists() and all(staged[target].exists() for target in others):  # no other one is new
            os.replace(aside, last)
        raise
    os.replace(staged[last], last)
    _sync_folder(last.parent)


@contextmanager
def _alone(folder: Path, files: int) -> Iterator[None]:
    """Let one process at a time replace several files of a folder: two would leave one's beside the other's."""
    if files == 1:
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # file systems of clusters may know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _partial(parent: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, as far as it can be removed; a kill leaves it, and nobody reads it."""
    folder = tempfile.mkdtemp(dir=parent, prefix=".partial-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _mode_of_new(folder: Path) -> int:
    """The permissions that a new file gets here: 0666 less what the umask or the folder takes."""
    probe = folder / ".mode"
    probe.touch()
    return stat.S_IMODE(probe.stat().st_mode)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT:
            raise
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Put names on the disk. What is renamed is in its place already, whether or not this can be done here."""
    with suppress(OSError):
        _sync(folder)


@contextmanager
def _one_line(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise UserError(f"cannot write to {path}: {said}; {remedy}") from None
