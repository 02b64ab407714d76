"""Tables of LoRA's scores by matrices and rank, in the form of tables 5 and 6 of Hu et al. 2021."""

import pandas as pd

from analysis.results.committed import Committed
from analysis.results.markdown import table
from analysis.results.published_tables import interval
from analysis.studies.selection import choose_settings

TARGETS = "space.targets"


def rank_table(study: Committed) -> str:
    """A row for each choice of matrices, a column for each rank: test scores with intervals; those with two ranks."""
    points = _points(study)
    points = points[points.groupby("targets")["rank"].transform("nunique") > 1]
    ranks = sorted(points["rank"].unique())
    lines = []
    for targets, here in sorted(points.groupby("targets"), key=lambda pair: len(str(pair[0]))):
        cells = {point["rank"]: _score(point) for _, point in here.iterrows()}
        lines.append([str(targets), *(cells.get(rank, "") for rank in ranks)])
    return table({"matrices": "<"} | {f"rank {rank}": ">" for rank in ranks}, lines)


def budget_table(study: Committed, trained: int) -> str:
    """A row for each choice of matrices that has so many trained parameters, the lowest score first."""
    points = _points(study)
    points = points[points["trained"] == trained].sort_values("mean")
    lines = [[point["targets"], str(point["rank"]), _score(point), point["setting"]] for _, point in points.iterrows()]
    heads = {f"matrices, {trained:,} parameters": "<", "rank": ">", "test score": ">"}
    return table(heads | {"rate": "<"}, lines)


def _score(point: pd.Series) -> str:
    return interval(point["mean"], point["sd"], point["finished"])


def _points(study: Committed) -> pd.DataFrame:
    """The points of the runs that name matrices, with their names and the rank."""
    frame = study.frame(across=(TARGETS,))
    frame = frame[frame["config"].map(lambda flat: bool(flat.get(TARGETS)))]
    rows, points = choose_settings(frame.assign(x=frame["trained"]), "test", (TARGETS,))
    configs = dict(zip(frame["run_id"], frame["config"], strict=True))
    of = {(row["curve"], row["x"]): configs[str(row["run_id"])] for _, row in rows[rows["chosen"]].iterrows()}
    found = [of[curve, x] for curve, x in zip(points["curve"], points["x"], strict=True)]
    return points.assign(
        targets=[", ".join(flat[TARGETS]) for flat in found],
        rank=[int(flat["rank"]) for flat in found],
    )
