"""Files and folders that are whole or absent, whatever ends the program that writes them."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from intrinsic.errors import UserError
from intrinsic.files.folder_lock import FolderLock
from intrinsic.files.partial import partial
from intrinsic.files.replace_together import replace_together
from intrinsic.files.sync import sync, sync_folder

Write = Callable[[Path], Any]


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
                if target in staged:
                    raise OSError("it is another name of a file that is written too")
            with _one_line(path.parent, remedy):
                _make_folder(target.parent)
            with _one_line(path, remedy):
                staged[target] = stack.enter_context(_staged(target, write))
        with _one_line(path, remedy), _alone(target.parent, len(files)):
            for target, temporary in staged.items():
                _take_permissions(temporary, target)
            replace_together(staged)


def write_folder(folder: Path, write: Write, *, replace: bool = False, remedy: str = "give another path") -> None:
    """Let `write` fill a temporary folder, then rename it to `folder`, which is not there yet.

    With `replace` it may be there: after a kill it is the old one, the new one, or, between two renames, none.

    Raises:
        UserError: if it cannot be written, or something is there that is not to be replaced; it is then as it was.
    """
    with _one_line(folder, remedy):
        _check_name(folder)
        if os.path.lexists(folder) and not (replace and folder.is_dir() and not folder.is_symlink()):
            raise OSError("it is there already")
        _make_folder(folder.parent)
        with partial(folder.parent) as temporary:
            written = temporary / folder.name
            written.mkdir()
            write(written)
            mode = _mode_of_new(temporary)
            for path in [*written.rglob("*"), written]:
                if path.is_file():
                    _set_mode(path, mode)
                sync(path)
            old = temporary / ".old"
            if os.path.lexists(folder):
                os.rename(folder, old)
            try:
                os.rename(written, folder)
            except OSError:
                if old.exists():
                    os.rename(old, folder)
                raise
        sync_folder(folder.parent)


def _target(path: Path) -> Path:
    """The file that a path means: where a link points to, which may be nowhere yet."""
    _check_name(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("it is not a regular file")
    except (FileNotFoundError, NotADirectoryError):
        pass
    return Path(os.path.realpath(path))


def _check_name(path: Path) -> None:
    try:
        os.fsencode(path)
    except ValueError:
        raise OSError("a file name cannot contain half a surrogate pair") from None
    if "\0" in str(path):
        raise OSError("a file name cannot contain a NUL")


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, and see that they outlast a power cut."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


@contextmanager
def _staged(target: Path, write: Write) -> Iterator[Path]:
    """The new content of `target` in a file beside it, on the disk."""
    with partial(target.parent) as folder:
        temporary = folder / target.name
        mode = _mode_of_new(folder)
        temporary.touch()
        write(temporary)
        _set_mode(temporary, mode)  # safetensors makes files that nobody else can read
        sync(temporary)
        yield temporary


@contextmanager
def _alone(folder: Path, files: int) -> Iterator[None]:
    """Let one process at a time replace several files of a folder: two would leave one's beside the other's."""
    if files == 1:
        yield
        return
    lock = FolderLock(folder, wait=True)
    try:
        yield
    finally:
        lock.close()


def _mode_of_new(folder: Path) -> int:
    """The permissions that a new file gets here: 0666 less what the umask or the folder takes."""
    probe = folder / ".mode"
    probe.touch()
    return stat.S_IMODE(probe.stat().st_mode)


def _take_permissions(temporary: Path, target: Path) -> None:
    """Those of the file whose place it takes, if there is one."""
    with suppress(FileNotFoundError):
        old = target.stat()
        with suppress(OSError):  # root alone may give a file away
            os.chown(temporary, old.st_uid, old.st_gid)
        _set_mode(temporary, old.st_mode & 0o777)


def _set_mode(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:  # file systems without permissions refuse to set any
        os.chmod(path, mode)


@contextmanager
def _one_line(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise UserError(f"cannot write to {path}: {said}; {remedy}") from None
