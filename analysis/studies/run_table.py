"""The runs of a study for reading: columns, what differs between configs, failures, versions, machines."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.studies.config_keys import value_text, varying_keys
from analysis.studies.record_in import record_in
from intrinsic.files.records import Record
from intrinsic.files.run_id import INCIDENTAL

FIRST = ("method", "rank", "dim", "seed", "lr")
LAST = ("trainable parameters", "validation", "test", "seconds")


@dataclass(frozen=True)
class RunRow:
    """A row of the table: its cells as (what is shown, what it is sorted by), and its config less what all share."""

    run_id: str
    status: str
    error: str
    cells: list[tuple[str, str]]
    own: dict[str, str]


@dataclass(frozen=True)
class RunTable:
    """A table of runs."""

    columns: list[str]
    numeric: list[bool]  # whether a column holds numbers only
    rows: list[RunRow]
    shared: dict[str, str]  # what every config says
    machines: list[tuple[str, list[str]]]  # version, commit and the like: the values, with counts where they differ


def runs_of(frame: pd.DataFrame) -> RunTable:
    """Table every run, also those that failed; columns are what is always asked, and the knobs that differ in a method.

    Args:
        frame: as from `analysis.studies.records.load_records`.
    """
    frame = frame.sort_values(list(FIRST), kind="stable")
    records = [record_in(folder) for folder in frame["folder"]]
    flats = [{key: value_text(value) for key, value in flat.items()} for flat in frame["config"]]
    shared = {key: value for key, value in flats[0].items() if all(flat.get(key) == value for flat in flats)}
    knobs = _knobs(frame)
    first = ["study"] * (frame["study"].nunique() > 1) + ["status"] * bool((frame["status"] != "finished").any())
    first += [name for name in FIRST if frame[name].notna().any()]
    rows = []
    for run, flat, record in zip(frame.to_dict("records"), flats, records, strict=True):
        seconds: Any = record.seconds  # of a file, whatever it says
        cells = [_cell(run[name]) for name in first]
        cells += [(flat.get(knob, ""), flat.get(knob, "")) for knob in knobs]
        cells += [_cell(run["trained"], ","), _cell(run["validation_score"], ".4f"), _cell(run["score"], ".4f")]
        timed = isinstance(seconds, float) or (isinstance(seconds, int) and abs(seconds) < 2**53)
        cells.append(_cell(float(seconds), ",.1f") if timed else ("", ""))
        own = {key: value for key, value in flat.items() if key not in shared}
        rows.append(RunRow(str(run["run_id"]), run["status"], run["error"], cells, own))
    numeric = [
        all(_is_number(order) for _, order in column) for column in zip(*(run.cells for run in rows), strict=True)
    ]
    return RunTable([*first, *knobs, *LAST], numeric, rows, shared, _machines(records))


def _is_number(value: str) -> bool:
    try:
        return not value or math.isfinite(float(value))
    except ValueError:
        return False


def _knobs(frame: pd.DataFrame) -> list[str]:
    """The config keys that differ between the runs of a method, less those that repeat a column."""
    keys: set[str] = set()
    for _, runs in frame.groupby("method"):
        keys |= set(varying_keys(runs, lambda key: INCIDENTAL.isdisjoint(key.split(".")), copied=FIRST))
    return sorted(keys - {*FIRST, "optim.lr"})


def _cell(value: Any, form: str = "") -> tuple[str, str]:
    """A value as it is read, and as it is sorted."""
    if pd.isna(value):
        return "", ""
    return (format(value, form) if form else value_text(value) if isinstance(value, float) else str(value)), str(value)


def _machines(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Where the runs were made, by what, and when."""
    told = [record.environment for record in records if isinstance(record.environment, dict)]
    lines = []
    for key in dict.fromkeys(key for environment in told for key in environment):
        counts = Counter(value_text(environment.get(key)) for environment in told)
        one = len(counts) == 1
        lines.append(
            (str(key), [f"{v}{'' if one else f' ({n} of {len(told)} runs)'}" for v, n in counts.most_common()])
        )
    days = sorted({str(record.started_at)[:10] for record in records if record.started_at})
    if days:
        lines.append(("run on", [days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"]))
    return lines
