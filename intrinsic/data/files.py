"""Where downloaded datasets live, and how they get there."""

import hashlib
import os
import sys
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path

from intrinsic.errors import UserError
from intrinsic.expanded import expanded

_TIMEOUT = 20  # seconds without a byte from the mirror
_CHUNK = 1 << 20


def data_folder(data_dir: str | Path | None, name: str) -> Path:
    """Return the folder of dataset `name`: in `data_dir`, else in $INTRINSIC_DATA, else in ~/.cache/intrinsic.

    Raises:
        UserError: when `data_dir` is neither None nor a path.
    """
    if data_dir is None:
        data_dir = os.environ.get("INTRINSIC_DATA") or "~/.cache/intrinsic"
    if not isinstance(data_dir, str | Path) or not str(data_dir):
        raise UserError(f"need data_dir as the path of a folder, or null, got data_dir={data_dir!r}")
    return expanded(data_dir) / name


def download(urls: Sequence[str], *, md5: str, unpack: Callable[[bytes], bytes] | None = None, place: str) -> bytes:
    """Fetch one file from the first of its mirrors that gives it unharmed, with progress on stderr.

    `md5` is the hexadecimal checksum of the file, or of `unpack(file)` where `unpack` is given; the file itself is
    returned. `place` says in words which files belong into which folder, for those who must fetch them by hand.

    Raises:
        UserError: when no mirror answers in time with the right bytes.
    """
    reasons = []
    for url in urls:
        try:
            content = _read(url)
            found = hashlib.md5(unpack(content) if unpack else content, usedforsecurity=False).hexdigest()
        except (OSError, HTTPException, EOFError, zlib.error) as error:  # EOFError and zlib.error: from unpack
            reasons.append(f"{url}: {_one_line(error)}")
            continue
        if found == md5:
            return content
        reasons.append(f"{url}: MD5 {found} instead of {md5}")
    raise UserError(
        f"cannot download ({'; '.join(reasons)}): put {place} yourself (data_dir=... or the environment variable "
        "INTRINSIC_DATA sets the folder)"
    )


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is there completely or not at all, and create its folder if need be.

    Raises:
        UserError: when the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            partial = Path(folder, path.name)
            partial.write_bytes(content)
            os.replace(partial, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {_one_line(error)}; choose another folder with data_dir=... or INTRINSIC_DATA"
        ) from error


def _read(url: str) -> bytes:
    parts: list[bytes] = []
    done = 0
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 (our own https addresses)
        size = response.headers.get("Content-Length")
        total = f" of {int(size) / 1e6:.1f}" if size else ""
        try:
            while part := response.read(_CHUNK):
                parts.append(part)
                done += len(part)
                print(f"\rdownloading {url}: {done / 1e6:.1f}{total} MB", end="", file=sys.stderr, flush=True)
        finally:
            print(file=sys.stderr)  # ends the progress line
    return b"".join(parts)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())
