"""The table at the end of a sweep."""

from rich.table import Table
from rich.text import Text

from experiments.terminal.print_whole import print_whole
from experiments.terminal.sweep import differing
from intrinsic.files.records import Record
from intrinsic.terminal.one_line import one_line

SPLITS = ("validation", "test")


def print_table(overrides: list[dict[str, str]], records: list[Record]) -> None:
    """One row for each run: what was swept, trainable parameters, scores on validation and test data, seconds, status.

    Where a head is trained beside the parameters of a space, also how many of them are the head's, and how many bytes
    are stored.
    """
    swept = differing(overrides)
    metrics = sorted({record.metric for record in records if record.metric})
    counts = {"trainable parameters": "trained"}
    if any(_has_head_beside(record) for record in records):
        counts |= {"head": "head", "stored bytes": "stored_bytes"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (*swept, *counts, *(f"{split} {metric}" for metric in metrics for split in SPLITS), "seconds"):
        table.add_column(Text(one_line(column)), justify="right", overflow="fold")
    table.add_column("status", overflow="fold")
    for override, record in zip(overrides, records, strict=True):
        scores = [record.score(split, metric) for metric in metrics for split in SPLITS]
        counted = [record.count(name) for name in counts.values()]
        cells = (
            *(override[key] for key in swept),
            *("-" if count is None else f"{count:,}" for count in counted),
            *("-" if score is None else f"{score:.4f}" for score in scores),
            "-" if record.seconds is None else f"{record.seconds:.1f}",
            record.status if record.error is None else f"{record.status}: {record.error}",
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))  # as it stands: a value such as [a] is no markup
    print_whole(table)


def _has_head_beside(record: Record) -> bool:
    trained, dim = record.count(), record.count("dim")
    return trained is not None and dim is not None and trained > dim
