"""The findings of a study as small tables: thresholds with intervals, and each method's best score."""

from dataclasses import dataclass, field

import pandas as pd

from analysis.figures.figure import CurvesResult
from analysis.studies.estimates import AXES, estimates, incomplete
from intrinsic.errors import UserError
from intrinsic.threshold import Threshold


@dataclass
class Thresholds:
    """The thresholds of a study's curves, in each of the `AXES`."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)  # curve, estimate with interval, unit
    against: str = ""  # what they are measured against, in words
    missing: str = ""  # why there are none


def thresholds(frame: pd.DataFrame, studies: str) -> Thresholds:
    """Estimate the smallest size that reaches 90 % of full training, for each curve with at least three sizes.

    Args:
        frame: runs of one task, as from `analysis.studies.records.load_records`.
        studies: their folders, for messages.

    Cost: about a second for each axis.
    """
    found = Thresholds()
    for axis, unit in AXES.items():
        try:
            _, _, curves = estimates(frame, axis=axis, split="test")
        except UserError as error:
            found.missing = found.missing or str(error)
            continue
        problem = incomplete(curves, axis)
        found.missing = found.missing or f"{studies}: {problem}" * (problem is not None)
        for each in curves:
            if each.threshold is None:
                continue
            said = str(each.threshold).partition(" (")[0]
            alike = [row for row in found.rows if row[:2] == (each.curve, said)]  # a dim is a count of parameters, too
            for row in alike:
                found.rows.remove(row)
            found.rows.append((each.curve, said, ", ".join([*(row[2] for row in alike), unit])))
            found.against = _against(each.threshold, len(each.baselines))
    return found


def _against(threshold: Threshold, runs: int) -> str:
    """What d90 means here, with the numbers."""
    percent = f"{100 * threshold.fraction:g}"
    return (
        f"d{percent} is the smallest size whose {'mean score' if threshold.estimand == 'mean' else 'median seed'} "
        f"reaches {percent} % of full training. Full training scores {threshold.baseline:.4f} on test data "
        f"(mean of {runs} {'runs' if runs > 1 else 'run: its noise is unknown'}), so the target is "
        f"{threshold.target:.4f}. In brackets: the {100 * threshold.confidence:g} % interval; "
        "< and >: beyond what was run; 0: the start, before any training, is above the target already."
    )


def best(drawn: CurvesResult) -> pd.DataFrame:
    """The best size and setting of each curve, by the mean validation score over seeds; test scores are reported.

    Args:
        drawn: curves of every method over trainable parameters.
    """
    rows = drawn.rows[drawn.rows["chosen"] & drawn.rows["score"].notna()]
    table = []
    for curve, runs in rows.groupby("curve", sort=False):
        means = runs.groupby("x")["validation_score"].mean()
        top = runs[runs["x"] == means.idxmax()]
        table.append({
            "method": curve, "trainable parameters": int(top["trained"].max()), "setting": top["setting"].iloc[0],
            "runs": len(top), "validation": means.max(), "test": top["score"].mean(), "sd": top["score"].std(),
        })  # fmt: skip
    return pd.DataFrame(table)
