"""Tables of what Li et al. 2018 published, with what committed studies have beside it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from analysis.references.literature import GRID, PUBLISHED, PublishedCurve
from analysis.results.committed import Committed
from analysis.results.markdown import table
from analysis.studies.config_keys import value_text
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError

CONFIDENCE = 0.95
NEAR = 0.02  # accuracy: what a curve may be off by


def published_table(studies: Sequence[Committed], costs: Mapping[str, str]) -> str:
    """Every row of the paper, measured by one of the studies, or with what it would take.

    Args:
        studies: of published tasks, see `analysis.published`.
        costs: by the name of a task, what a command that nobody has run would take.
    """
    rows = []
    measured = {row["task"]: (study, row) for study in studies for row in _d90(study)}
    for task in PUBLISHED:
        if re.search(r"_\d+x\d+$", task.task):  # the grid of widths and depths has a table of its own
            continue
        start = [f"`{task.task}`", f"{task.full_dim:,}", *map(_count, (task.stated, task.individual, task.overall))]
        if task.task in measured:
            _, row = measured[task.task]
            rows.append([*start, row["individual"], row["global"], row["runs"]])
        else:
            rows.append([*start, f"not run: {costs[task.task]}" if task.task in costs else "below", "", ""])
    heads = {"task": "<", "D": ">", "d90, as published": ">", "individual": ">", "global": ">"}
    return table(heads | {"measured: individual": "<", "measured: global": "<", "runs": ">"}, rows)


def _d90(study: Committed) -> list[dict[str, str]]:
    """The d90 of each task and curve of a study, against the two baselines."""
    found = study.outcome("published").table
    rows = []
    for (task, _), both in found.groupby(["task", "curve"], sort=False):
        said = {row["baseline"]: _threshold(str(row["measured"])) for _, row in both.iterrows()}
        rows.append({"task": str(task), "runs": str(both["runs"].iloc[0]), **said})
    return rows


def _threshold(text: str) -> str:
    """`657 [598, 730]` of `d90 = 657 [598, 730] (95 %, auto, mean)`."""
    return re.sub(r"^d\d+ =? ?", "", text.partition(" (")[0])


def curve_table(study: Committed) -> str:
    """The mean score at each d with its interval over seeds, beside what was published there."""
    task = task_of(study)
    rows, points = chosen(study, task)
    means: Mapping[int, pd.Series] = {int(row["x"]): row for _, row in points[points["x"].notna()].iterrows()}
    full = points[points["x"].isna() & points["curve"].eq("full")]
    lines = []
    for dim in sorted({*means, *task.curve}):
        lines.append([f"{dim:,}", *_beside(means.get(dim), task.curve.get(dim))])
    lines.append(["full", *_beside(None if full.empty else full.iloc[0], task.full)])
    heads = {"d": ">", task.split + " " + str(rows["metric"].max()): "<", "seeds": ">", "published": "<", "off by": ">"}
    return table(heads, lines)


def task_of(study: Committed) -> PublishedCurve:
    """The published task of a study's runs.

    Raises:
        UserError: if there is not one.
    """
    names = list(study.outcome("published").figures)  # type: ignore[attr-defined]
    if len(names) != 1:
        raise UserError(f"{study.name}: need runs of one published task, got {', '.join(names) or 'none'}")
    return next(task for task in PUBLISHED if task.task == names[0])


def chosen(study: Committed, task: PublishedCurve) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows and points of `choose_settings`, of the scores that the task was published for."""
    where = [f"{key}={value_text(value)}" for key, value in task.match.items()]
    frame = study.frame(task.split, where)
    return choose_settings(frame.assign(x=frame["dim"]), task.split)


def interval(mean: float, sd: float, count: int) -> str:
    """`0.893 ± 0.004`: half the width of Student's interval of the mean over `count` seeds; of one seed the score."""
    if pd.isna(mean):
        return ""
    if count < 2 or pd.isna(sd):
        return f"{mean:.3f}"
    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * sd / count**0.5
    return f"{mean:.3f} ± {half:.3f}"


def off(mean: float, low: float, high: float) -> str:
    """By how much a mean lies outside of what was published: 0 within."""
    gap = mean - high if mean > high else min(0.0, mean - low)
    said = f"{gap:+.3f}" if round(gap, 3) else "0"
    return said if abs(gap) <= NEAR else f"**{said}**"


def _beside(point: Any, known: tuple[float, float] | None) -> list[str]:
    said = "" if known is None else f"{known[0]:.3f}" if known[0] == known[1] else f"{known[0]:.3f} to {known[1]:.3f}"
    if point is None or not point["finished"]:
        return ["not run", "", said, ""]
    gap = "" if known is None else off(point["mean"], *known)
    return [interval(point["mean"], point["sd"], point["finished"]), str(point["finished"]), said, gap]


def grid_table(study: Committed) -> str:
    """d90 by width and depth, beside the published ones."""
    found = {row["task"]: row for row in _d90(study)}
    rows = []
    for width, depths in GRID.items():
        for depth, published in enumerate(depths, start=1):
            name = "mnist_fc" if (width, depth) == (200, 2) else f"mnist_fc_{width}x{depth}"
            if name in found:
                row = found[name]
                rows.append([f"{width}", f"{depth}", row["individual"], row["global"], f"{published:,}", row["runs"]])
    heads = {"width": ">", "depth": ">", "d90, individual": "<", "d90, global": "<"}
    return table(heads | {"published (global)": ">", "runs": ">"}, rows)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
