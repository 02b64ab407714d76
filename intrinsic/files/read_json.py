"""JSON that a stranger may have written."""

import json
import math
from pathlib import Path
from typing import Any

from intrinsic.errors import UserError

LARGEST = 1 << 25  # bytes: a thousand times those of a long run's record


def read_json(path: Path, *, remedy: str, largest: int = LARGEST) -> Any:
    """What a JSON file holds: finite numbers, whole ones of 64 bits, keys that occur once, text that is Unicode.

    Args:
        path: of a regular file: what is no file may have no end.
        remedy: ends the message of an error.
        largest: bytes that it may have.

    Raises:
        UserError: for anything else.
    """
    try:
        if not path.is_file():
            raise ValueError("there is no such file" if not path.exists() else "it is not a regular file")
        size = path.stat().st_size
        if size > largest:
            raise ValueError(f"it has {size:,} bytes, more than {largest:,}")
        return parse_json(path.read_bytes().decode("utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        said = "it is nested too deep" if isinstance(error, RecursionError) else " ".join(str(error)[:100].split())
        raise UserError(f"{path} cannot be read ({said}): {remedy}") from None


def parse_json(text: str) -> Any:
    """What JSON text holds, by the rules of `read_json`.

    Raises:
        ValueError: for anything else.
        RecursionError: where it is nested too deep.
    """
    found = json.loads(
        text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, parse_int=_of_64_bits
    )
    json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate, written as an escape, is no text
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.20} is beyond all floats")
    return number


def _of_64_bits(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"{text:.20} is beyond 64 bits")
    return int(text)
