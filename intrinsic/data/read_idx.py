"""Files in the format of MNIST."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from intrinsic.checks import check_memory
from intrinsic.errors import UserError

BYTES = 6  # of memory for a byte of a file: as it is read, and as float32
RATIO = 1032  # bytes that deflate makes of one byte, at most
CHUNK = 1 << 20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_idx(path: Path, *, dims: int) -> Tensor:
    """The unsigned bytes (count, ...) of an IDX file with `dims` axes, plain or, with the ending .gz, packed.

    The header comes first, and says how much is read: no more than that, whatever a packed file would unpack to.

    Raises:
        UserError: for a file that cannot be read, is damaged (packing, magic number, size), or is too large for memory.
    """
    packed = path.suffix == ".gz"
    try:
        if not path.is_file():
            raise UserError(f"{path}: cannot be read (not a regular file): make it readable or remove it")
        with gzip.open(path) if packed else path.open("rb") as file:
            shape = _header(file, dims, path)
            size, rest = math.prod(shape), path.stat().st_size - 4 * (1 + dims)
            if not packed:
                _check(size, str(rest) if rest != size else None, shape, path)
            elif size > RATIO * path.stat().st_size:
                _check(size, "fewer", shape, path)
            check_memory(BYTES * size, path)
            content = bytearray()
            while len(content) < size and (part := file.read(min(CHUNK, size - len(content)))):
                content += part
            more = file.read(1)  # at the end of a packed file, its checksum is compared
            _check(size, "more" if more else str(len(content)) if len(content) < size else None, shape, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: need an undamaged gzip file, got {error}: {_again(path)}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): make it readable or remove it") from None
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8).reshape(shape))


def _check(size: int, got: str | None, shape: list[int], path: Path) -> None:
    if not size or got:
        wanted = f"need {' x '.join(map(str, shape))} > 0 bytes after the header, got {got or 0}"
        raise UserError(f"{path}: {wanted}: {_again(path)}")


def _again(path: Path) -> str:
    return f"delete {path.name} so that it is fetched again"


def _header(file: _Readable, dims: int, path: Path) -> list[int]:
    length = 4 * (1 + dims)
    header = file.read(length)
    if len(header) < length:
        raise UserError(f"{path}: need a header of {length} bytes, got {len(header)} bytes: {_again(path)}")
    magic, *shape = struct.unpack(f">{1 + dims}I", header)
    if magic != 0x0800 + dims:  # 0x08: unsigned bytes
        raise UserError(f"{path}: need magic number {0x0800 + dims}, got {magic}: {_again(path)}")
    return shape
