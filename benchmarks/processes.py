"""A measurement repeated in processes of their own: where memory lies differs between them, and steps with it."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

PROCESSES = 3

Row = dict[str, Any]


def in_processes(module: str, keys: tuple[str, ...], count: int = PROCESSES) -> Iterator[Row]:
    """The rows of `python -m MODULE`, a line of JSON each; of every number that is not a key the median."""
    runs = [_rows(module) for _ in range(count)]
    for rows in zip(*runs, strict=True):
        yield median_of(rows, keys)


def median_of(rows: tuple[Row, ...], keys: tuple[str, ...]) -> Row:
    """One row of several with the same keys: medians of the other numbers."""
    first = rows[0]
    assert all(row[key] == first[key] for row in rows for key in keys)
    return {
        name: value if name in keys else statistics.median(row[name] for row in rows) for name, value in first.items()
    }


def _rows(module: str) -> list[Row]:
    rows = []
    process = subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    for line in process.stdout:
        rows.append(json.loads(line))
        print(f"{module}: {len(rows)} rows", end="\r", file=sys.stderr)
    if process.wait():
        raise RuntimeError(f"{module} ended with status {process.returncode}")
    return rows
