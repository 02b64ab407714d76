"""Writes that outlast a power cut."""

import errno
import os
from contextlib import suppress
from pathlib import Path

CANNOT = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # file systems that know no fsync


def sync(path: Path) -> None:
    """Put the content of a file, or the names in a folder, on the disk.

    Raises:
        OSError: where the disk refuses; some network file systems first say here that it is full.
    """
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" and path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT:
            raise
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Put names on the disk. What is renamed is in its place already, whether or not this can be done here."""
    with suppress(OSError):
        sync(folder)
