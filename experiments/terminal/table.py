"""The table at the end of a sweep."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.terminal.quoted import quoted

SPLITS = ("validation", "test")


def print_table(overrides: list[dict[str, str]], records: list[dict[str, Any]]) -> None:
    """One row for each run: what was swept, trainable parameters, scores on validation and test data, seconds, status.

    Where a head is trained beside the parameters of a space, also how many of them are the head's, and how many bytes
    are stored.
    """
    swept = [key for key in overrides[0] if len({override.get(key) for override in overrides}) > 1]
    metrics = sorted({record["metric"] for record in records if "metric" in record})
    counts = {"trainable parameters": "trained"}
    if any(_has_head_beside(record) for record in records):
        counts |= {"head": "head", "stored bytes": "stored_bytes"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (*swept, *counts, *(f"{split} {metric}" for metric in metrics for split in SPLITS), "seconds"):
        table.add_column(Text(quoted(column)), justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for override, record in zip(overrides, records, strict=True):
        last = record.get("last") or {}
        scores = [(last.get(split) or {}).get(metric) for metric in metrics for split in SPLITS]
        cells = (
            *(override[key] for key in swept),
            *(f"{record['numbers'][key]:,}" if "numbers" in record else "-" for key in counts.values()),
            *("-" if score is None else f"{score:.4f}" for score in scores),
            f"{record['seconds']:.1f}" if "seconds" in record else "-",
            record["status"] if record.get("error") is None else f"{record['status']}: {record['error']}",
        )
        table.add_row(*(Text(quoted(cell)) for cell in cells))  # as it stands: a value such as [a] is no markup
    console = Console()
    console = console if console.is_terminal else Console(width=200)  # a file has no margin to wrap at
    console.print(table)


def _has_head_beside(record: dict[str, Any]) -> bool:
    return "numbers" in record and record["numbers"]["trained"] > record["numbers"].get(
        "dim", record["numbers"]["trained"]
    )
