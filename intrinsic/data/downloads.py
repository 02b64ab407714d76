"""Downloads of datasets."""

import hashlib
import sys
import urllib.request
import zlib
from collections.abc import Sequence
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.parse import urlsplit

from intrinsic.errors import UserError

HOSTS = frozenset({
    "ossci-datasets.s3.amazonaws.com", "raw.githubusercontent.com", "storage.googleapis.com", "www.cs.toronto.edu",
})  # fmt: skip
TIMEOUT = 20  # seconds without a byte from the mirror
CHUNK = 1 << 20


def download(
    urls: Sequence[str], *, size: int, place: str, md5: str = "", sha256: str = "", packed: bool = False
) -> bytes:
    """Fetch one file from the first of its mirrors that gives it undamaged, with progress on stderr.

    Nothing but https is spoken, and to `HOSTS` alone, the hosts of our datasets, also where a mirror sends on.

    Args:
        urls: of the mirrors.
        size: bytes of the file, and of what it unpacks to, at most.
        place: says in words which files belong into which folder, for those who must fetch them by hand.
        md5: the hexadecimal checksum of the file, or of what it unpacks to; the file itself is returned.
        sha256: the same in place of md5.
        packed: whether the checksum is that of the unpacked file, by gzip.

    Raises:
        UserError: for another address, and when no mirror answers in time with the right bytes.
    """
    reasons = []
    algorithm, checksum = ("sha256", sha256) if sha256 else ("md5", md5)
    for url in urls:
        _check(url)
        try:
            content = _read(url, size)
            bits = _unpacked(content, size) if packed else content
            found = hashlib.new(algorithm, bits, usedforsecurity=False).hexdigest()
        except (OSError, HTTPException, ValueError, EOFError, zlib.error) as error:  # the last two: from _unpacked
            reasons.append(f"{url}: {_one_line(error)}")
            continue
        if found == checksum:
            return content
        reasons.append(f"{url}: {algorithm.upper()} {found} instead of {checksum}")
    raise UserError(
        f"cannot download ({'; '.join(reasons)}): put {place} yourself (data_dir=... or the environment variable "
        "INTRINSIC_DATA sets the folder)"
    )


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme != "https" or parts.netloc not in HOSTS:
        raise UserError(f"cannot download {url[:200]!r}: need https, and {', '.join(sorted(HOSTS))}")


class _SentOn(urllib.request.HTTPRedirectHandler):
    """Follows a mirror to our hosts alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """What speaks https and nothing else: no file:, data:, ftp: or http:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _SentOn(),
    ):
        opener.add_handler(handler)
    return opener


def _read(url: str, most: int) -> bytes:
    content = bytearray()
    with _opener().open(url, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length") or ""
        total = f" of {int(length) / 1e6:.1f}" if length.isascii() and length.isdigit() else ""
        try:
            while part := response.read(CHUNK):
                content += part
                print(f"\rdownloading {url}: {len(content) / 1e6:.1f}{total} MB", end="", file=sys.stderr, flush=True)
                if len(content) > most:
                    raise OSError(f"need {most} bytes at most, got more")
        finally:
            print(file=sys.stderr)  # ends the progress line
    return bytes(content)


def _unpacked(content: bytes, most: int) -> bytes:
    """The one member of a gzip file."""
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    unpacked = stream.decompress(content, most + 1)
    if len(unpacked) > most:
        raise OSError(f"need {most} unpacked bytes at most, got more")
    if not stream.eof or stream.unused_data:
        raise EOFError("the gzip file is cut off, or has data after its end")
    return unpacked


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())[:200]
