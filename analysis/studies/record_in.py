"""A record as JSON, with text that can be shown."""

from pathlib import Path
from typing import Any

from analysis.studies.plain import plain_tree
from intrinsic.files.read_json import read_json
from intrinsic.files.records import renamed

AGAIN = "delete its folder and run it again"


def record_in(folder: Path) -> Any:
    """What the record in a run's folder says, whatever it is: every text on one line, printable, and cut where long.

    Raises:
        UserError: if it can't be read, or is not JSON: see `read_json`.
    """
    record = read_json(folder / "record.json", remedy=AGAIN)
    if isinstance(record, dict) and isinstance(record.get("error"), str):
        record["error"] = " ".join(record["error"].split())  # lines of a traceback
    if isinstance(record, dict) and "config" in record:
        record["config"] = renamed(record["config"])  # so that runs of before and of today are of one task
    return plain_tree(record)
