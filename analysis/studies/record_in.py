"""A record with text that can be shown."""

from dataclasses import replace
from pathlib import Path

from analysis.studies.plain import plain_tree
from intrinsic.files.records import Record, content_of

AGAIN = "delete its folder and run it again"


def record_in(folder: Path) -> Record:
    """What the record in a run's folder says, whatever it is: every text on one line, printable, and cut where long.

    Nothing is checked: what is no record is one that lacks everything.

    Raises:
        UserError: if it can't be read, or is not JSON: see `read_json`.
    """
    content = content_of(folder, AGAIN)
    record = Record.of(content if isinstance(content, dict) else {})
    if isinstance(record.error, str):
        record = replace(record, error=" ".join(record.error.split()))  # lines of a traceback
    return Record(**{name: plain_tree(value) for name, value in vars(record).items()})
