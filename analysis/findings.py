"""What a study found, as small tables: thresholds with intervals, and each method's best score."""

from dataclasses import dataclass, field

import pandas as pd

from analysis.estimates import BASELINE, estimates, incomplete
from analysis.figure import DrawnCurves
from intrinsic.errors import UserError

AXES = {"dim": "subspace dimension", "rank": "rank", "trained": "trained numbers"}


@dataclass
class Thresholds:
    """The thresholds of a study's curves, in each of the `AXES`."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)  # curve, unit, estimate with interval
    baseline: str = ""  # what they are measured against, in a sentence
    missing: str = ""  # why there are none


def thresholds(frame: pd.DataFrame, studies: str) -> Thresholds:
    """Estimate the smallest size that reaches 90 % of full training, for each curve with at least three sizes.

    Args:
        frame: runs of one task, as from `analysis.records.load`.
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
            found.rows.append((each.curve, unit, str(each.threshold)))
            percent = f"{100 * each.threshold.fraction:g} %"
            found.baseline = (
                f"{BASELINE} reaches {each.threshold.baseline:.4f} on test data (mean of {len(each.baselines)} runs); "
                f"the target is {percent} of it, {each.threshold.target:.4f}. In brackets: the "
                f"{100 * each.threshold.confidence:g} % interval."
            )
    return found


def best(drawn: DrawnCurves) -> pd.DataFrame:
    """The best size and setting of each curve, by the mean validation score over seeds; test scores are reported.

    Args:
        drawn: curves of every method over trained numbers.
    """
    rows = drawn.rows[drawn.rows["chosen"] & drawn.rows["score"].notna()]
    table = []
    for curve, runs in rows.groupby("curve", sort=False):
        means = runs.groupby("x")["validation_score"].mean()
        top = runs[runs["x"] == means.idxmax()]
        table.append({
            "method": curve, "trained numbers": int(top["trained"].max()), "setting": top["setting"].iloc[0],
            "runs": len(top), "validation, mean": means.max(), "test, mean": top["score"].mean(),
            "test, sd": top["score"].std(),
        })  # fmt: skip
    return pd.DataFrame(table)
