"""Letters for curves whose thresholds differ."""

from dataclasses import dataclass, field

import pandas as pd

from analysis.studies.differences import comparable, differences, differences_table, letters
from analysis.studies.estimates import BASELINE, estimates_of
from analysis.studies.fallen import fallen
from intrinsic.errors import UserError

EXPLAINED = "d90 of curves that share a letter were not shown to differ"


@dataclass(frozen=True)
class Marks:
    """What is said of the differences between curves; nothing, by default."""

    names: dict[str, str] = field(default_factory=dict)  # of a curve with its letters
    tables: tuple[pd.DataFrame, ...] = ()
    results: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def marks(rows: pd.DataFrame) -> Marks:
    """Compare the d90 of every two curves with three sizes or more; of fewer than two such curves nothing is said.

    Args:
        rows: runs as from `choose_settings`; the baseline is the curve `full`.
    """
    full = rows["curve"].str.partition(",")[0] == BASELINE
    sizes = sorted(set(rows[full]["x"].dropna()))
    if len(sizes) > 1:  # the mean of two networks is no baseline of either
        counts = " and ".join(f"{size:,}" for size in sizes[:2])
        return Marks(notes=(f"d90 not compared: {BASELINE} is of networks of {counts} parameters; analysis.threshold "
                            "--across KEY takes each one's own",))  # fmt: skip
    try:
        every = estimates_of(rows.assign(x=rows["x"].mask(full)), {})
    except UserError as error:
        return Marks(notes=(f"d90 not compared: {error}",))
    found = comparable(every)
    zero = tuple(
        f"{each.curve}: {each.threshold}" for each in every if each.threshold is not None and each not in found
    )
    notes = tuple(fallen(found, "a count of"))
    if len(found) < 2:
        return Marks(results=zero, notes=notes)
    pairs = differences(found)
    order = sorted(found, key=lambda each: each.threshold.value if each.threshold is not None else 0.0)
    shown = letters(pairs, [each.curve for each in order])
    return Marks(
        {curve: f"{curve} [{letter}]" for curve, letter in shown.items()},
        (differences_table(pairs),),
        (*(f"{each.curve} [{shown[each.curve]}]: {each.threshold}" for each in found), *zero),
        notes,
    )
