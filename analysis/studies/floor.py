"""From which score a fraction counts: 0, that of a constant answer, of the start, or a number; and the runs' own."""

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from analysis.studies.plain import plain
from intrinsic.checks import number
from intrinsic.errors import UserError

COLUMNS = {"chance": "constant", "start": "start"}  # of the rows, that hold the scores by which a floor is known
KINDS = ("none", *COLUMNS)
ABOVE = {"none": "", "chance": " above chance", "start": " above the start"}


@dataclass(frozen=True)
class Floor:
    """What was asked for: one of `KINDS`, or a score."""

    kind: str
    score: float | None = None

    @classmethod
    def of(cls, floor: str | float | None, chance: float | None = None, name: str = "floor") -> Self:
        """Check what was given: a kind or a number, or a number by its older name `chance`.

        Raises:
            UserError: for anything else, and for both.
        """
        if floor in (None, "none"):
            return cls("none") if chance is None else cls("chance", number("chance", chance))
        if chance is not None:
            raise UserError(f"need {name} or chance, its older name, got {name}={floor} and chance={chance}")
        if floor in COLUMNS:
            return cls(str(floor))
        try:
            return cls("score", number(name, float(floor)))
        except (TypeError, ValueError, UserError):
            said = plain(str(floor), 60)
            raise UserError(f"need {name} to be {', '.join(KINDS)} or a number, got {name}={said}") from None

    @property
    def above(self) -> str:
        """What stands behind "of full training": nothing, " above chance", " above 0.1"."""
        return ABOVE.get(self.kind, f" above {self.score:g}" if self.score is not None else "")

    def of_runs(self, runs: pd.DataFrame, estimand: str = "mean") -> dict[str, float | None]:
        """The `floor` and `start` of `estimate_threshold` for the runs of one curve.

        Both are means over seeds, as theta_0 is drawn by the seed; of "success", which asks for half of the seeds, the
        start is their median. Runs without a start have no part in it.

        Args:
            runs: with seed, start and constant, NaN where a record has none.
            estimand: see `estimate_threshold`.

        Raises:
            UserError: if the floor is not known of every run.
        """
        if self.score is None and self.kind in COLUMNS:
            missing = runs[runs[COLUMNS[self.kind]].isna()]
            if len(missing):
                raise UserError(
                    f"floor={self.kind} needs that score in every record, {len(missing)} of {len(runs)} runs have none "
                    f"({missing['run_id'].iloc[0]}): from before it was measured, or of tokens, where nothing is "
                    "constant; delete them to run again, or give floor a number"
                )
            score = over_seeds(runs, COLUMNS[self.kind])
        else:
            score = self.score
        return {"floor": score, "start": over_seeds(runs, "start", "median" if estimand == "success" else "mean")}


def over_seeds(runs: pd.DataFrame, column: str, how: Any = "mean") -> float | None:
    """The mean, or another average, over seeds of what a column holds; None where it holds nothing."""
    known = runs[runs[column].notna()]
    return None if known.empty else float(known.groupby("seed")[column].mean().agg(how))


def without_start(rows: pd.DataFrame) -> list[str]:
    """A note for runs that have scores and no start; nothing where all have one.

    Args:
        rows: as from `analysis.studies.selection.choose_settings`.
    """
    used = rows[rows["chosen"] & rows["score"].notna()]
    count = int(used["start"].isna().sum())
    if not count:
        return []
    return [
        f"{count} of {len(used)} records have no score at the start, from before it was measured: a target below it is "
        "not seen; deleted, they are run again"
    ]
