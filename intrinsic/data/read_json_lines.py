"""The objects of a JSONL file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from intrinsic.data.read_lines import read_lines
from intrinsic.errors import UserError


def read_json_lines(path: Path, *, remedy: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each object of a UTF-8 file stands, "FILE, line 3", and the object; lines of white space are skipped.

    Raises:
        UserError: as `read_lines`, and for a line that is no JSON object.
    """
    for number, line in enumerate(read_lines(path, remedy=remedy), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            said = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise UserError(f"{place}: is no JSON ({said}): {remedy}") from None
        if not isinstance(found, dict):
            raise UserError(f"{place}: is no JSON object but {line.strip()[:40]!r}: {remedy}")
        yield place, found
