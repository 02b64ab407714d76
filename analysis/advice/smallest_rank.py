"""The smallest rank that suffices, and the learning rate that was best there: by validation data alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.studies.estimates import estimates, incomplete
from intrinsic.errors import UserError
from intrinsic.threshold import Threshold


@dataclass(frozen=True)
class SmallestRank:
    """What the runs of LoRA say of the rank."""

    curve: str  # of those of LoRA, the one of the best mean validation score
    rows: pd.DataFrame  # one a run, as from `analysis.studies.selection.choose_settings`, of LoRA and of full training
    points: pd.DataFrame  # of the curve, one a rank that has a score
    thresholds: tuple[Threshold, ...]  # by fraction; none: see `problem`
    rank: int  # that the last threshold asks for; the best one tried, if there is none or none suffices
    tried_rank: int  # the smallest tried rank at or above `rank`
    problem: str | None  # why there is no threshold

    @property
    def seeds(self) -> int:
        """Runs at the rank that has the fewest."""
        return int(self.points["finished"].min())


def smallest_rank(
    frame: pd.DataFrame, fractions: Sequence[float], chance: float | None, floor: str | float = "none"
) -> SmallestRank | None:
    """Estimate the rank that reaches each fraction of full training, by the mean of validation scores.

    Args:
        frame: runs of one task as from `analysis.studies.records.load_records`, `score` being that of validation.
        fractions: of the baseline, rising; the last one decides.
        chance: see `analysis.threshold`, as for floor.
        floor: see there.

    Returns:
        None if no run of LoRA has finished.

    Raises:
        UserError: as `estimates`.
    """
    if list(fractions) != sorted(set(fractions)) or not fractions:
        raise UserError(f"need rising --fractions, such as 0.9 0.99, got {' '.join(map(str, fractions))}")
    used = frame[frame["projection"].eq("Identity") & frame["method"].isin(["lora", "full"])]
    if not used[used["method"] == "lora"]["score"].notna().any():
        return None
    found = []
    for fraction in fractions:
        rows, points, each = estimates(
            used, axis="rank", split="validation", fraction=fraction, chance=chance, floor=floor
        )
        found.append(each)
    points = points[points["x"].notna() & points["mean"].notna()]
    curve = points.loc[points["mean"].idxmax(), "curve"]
    points = points[points["curve"] == curve]
    mine = [next(one for one in each if one.curve == curve) for each in found]
    problem = incomplete(mine[-1:], "rank")
    problem = problem and problem.partition(";")[0]
    thresholds = tuple(one.threshold for one in mine if one.threshold is not None)
    ranks = points["x"].astype(int)
    if thresholds and thresholds[-1].censored != "above":
        rank = math.ceil(thresholds[-1].value)
    else:
        rank = int(ranks[points["mean"].idxmax()])
    return SmallestRank(curve, rows, points, thresholds, rank, int(ranks[ranks >= rank].min()), problem)
