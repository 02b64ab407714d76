"""The header of a GGUF file, before anything reads it that believes what it says."""

import struct
from pathlib import Path
from typing import BinaryIO

from intrinsic.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a number, by its type's id
STRING, ARRAY = 8, 9
LEAST_TENSOR = 8 + 4 + 4 + 8  # bytes of what the header says of one: name, dimensions, type, place


def check_gguf(file: Path) -> None:
    """Check that what the header counts is there: the package gguf makes a list of 2^60 entries, if a file says so.

    Source: the specification of GGUF, versions 2 and 3 (little-endian).

    Raises:
        UserError: for another file, and one that ends before its header does.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as content:
            if content.read(4) != MAGIC or _number(content, 4) not in VERSIONS:
                raise ValueError(f"it does not begin with {MAGIC.decode()} and version 2 or 3")
            tensors, entries = _number(content, 8), _number(content, 8)
            for _ in range(entries):  # ends at the end of the file
                _skip(content, _number(content, 8), size)
                _skip_value(content, _number(content, 4), size)
            if tensors * LEAST_TENSOR > size - content.tell():
                raise ValueError(f"it counts {tensors} tensors in {size} bytes")
    except (ValueError, struct.error) as error:
        said = "it ends before its header does" if isinstance(error, struct.error) else error
        raise UserError(f"{file} is no whole GGUF file ({said}): need a model's own, or model.safetensors") from None


def _number(content: BinaryIO, width: int) -> int:
    (number,) = struct.unpack({4: "<I", 8: "<Q"}[width], content.read(width))
    return int(number)


def _skip(content: BinaryIO, width: int, size: int) -> None:
    if width > size - content.tell():
        raise ValueError(f"it says that {width} bytes follow, where there are {size - content.tell()}")
    content.seek(width, 1)


def _skip_value(content: BinaryIO, kind: int, size: int) -> None:
    if kind in SIZES:
        _skip(content, SIZES[kind], size)
    elif kind == STRING:
        _skip(content, _number(content, 8), size)
    elif kind == ARRAY:
        kind, count = _number(content, 4), _number(content, 8)
        if kind in SIZES:
            _skip(content, count * SIZES[kind], size)
        elif kind == STRING:
            for _ in range(count):
                _skip(content, _number(content, 8), size)
        else:
            raise ValueError(f"it has an array of type {kind}")
    else:
        raise ValueError(f"it has a value of type {kind}")
