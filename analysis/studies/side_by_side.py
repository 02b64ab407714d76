"""The runs of a study side by side, a row for each method and size."""

from collections.abc import Sequence

import pandas as pd

from analysis.studies.measurement_file import measured_runs
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError


def sides(
    studies: Sequence[object], name: str, where: Sequence[str], methods: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """One run, measured by `experiments.<name>`, for each method and size, with a `label`; and notes.

    Of runs that differ in learning rate, the one that validation data choose; of those that differ in seed, the first.

    Args:
        studies: folders of runs.
        name: of the measurement.
        where: see `load_records`.
        methods: only these; none: all.

    Raises:
        UserError: as `load_records` and `measured_runs`; a method of which there is no run.
    """
    rows, notes = load_records(studies, where)  # type: ignore[arg-type]
    for method in methods:
        if method not in set(rows["method"]):
            raise UserError(f"no run has method={method}: the methods are {', '.join(dict.fromkeys(rows['method']))}")
    rows = rows[rows["method"].isin(methods or set(rows["method"]))]
    there, more = measured_runs(rows, name)
    known, found = (_chosen(some) for some in (rows[rows["status"] == "finished"], there))
    return found, [*notes, *more * (len(found) < len(known))]


def _chosen(rows: pd.DataFrame) -> pd.DataFrame:
    chosen, _ = choose_settings(rows.assign(x=rows["rank"].fillna(rows["dim"])), "test")
    chosen = chosen[chosen["chosen"]].drop_duplicates(["curve", "x"])[["run_id", "curve"]]
    found = chosen.merge(rows, on="run_id")  # in the order of the curves
    sizes = [
        f" r={run.rank}" if pd.notna(run.rank) else f" d={run.dim:,}" if pd.notna(run.dim) else ""
        for run in found.itertuples()
    ]
    return found.assign(label=found["curve"] + sizes)
