"""Accuracy at equal trained parameters: a row for each method, a column for each budget."""

import pandas as pd

from analysis.results.committed import Committed
from analysis.results.markdown import table
from analysis.results.published_tables import interval
from analysis.studies.selection import choose_settings

BUDGETS = (100, 300, 1000, 3000, 10_000)
NEAR = 0.2  # how far, as a fraction of the budget, a method's count may be


def leaderboard(study: Committed) -> str:
    """The table; those with most cells first, of these in the order of their mean score.

    Cells are mean test scores over seeds with Student's interval, at the rate that validation data choose, and the
    count where it is not the budget. An empty cell says the nearest size that was run.
    """
    _, points = _points(study)
    cells = {curve: _cells(here) for curve, here in points.groupby("curve", sort=False)}
    sized = {curve: found for curve, found in cells.items() if found}
    order = sorted(sized, key=lambda curve: (-len(sized[curve]), -_mean(sized[curve])))
    best = {budget: max((c[budget]["mean"] for c in sized.values() if budget in c), default=None) for budget in BUDGETS}
    lines = []
    for curve in order:
        line = [f"`{curve}`"]
        for budget in BUDGETS:
            here = sized[curve].get(budget)
            if here is None:
                line.append(f"– ({_nearest(points[points['curve'] == curve], budget)})")
                continue
            said = interval(here["mean"], here["sd"], here["finished"])
            said = f"**{said}**" if here["mean"] == best[budget] else said
            line.append(said + (f" ({here['trained']:,})" if here["trained"] != budget else ""))
        lines.append(line)
    return table({"method": "<"} | {f"{budget:,}": ">" for budget in BUDGETS}, lines)


def own_sizes(study: Committed) -> str:
    """The methods that have one size, none of the budgets: their count and score."""
    _, points = _points(study)
    lines = []
    for curve, here in points.groupby("curve", sort=False):
        if not _cells(here):
            for _, point in here.sort_values("trained").iterrows():
                said = interval(point["mean"], point["sd"], point["finished"])
                lines.append([f"`{curve}`", f"{point['trained']:,}", said, point["setting"]])
    return table({"method": "<", "trained parameters": ">", "test accuracy": ">", "setting": "<"}, lines)


def rates(study: Committed) -> str:
    """The settings that validation data chose, by method and budget."""
    _, points = _points(study)
    lines = []
    for curve, here in points.groupby("curve", sort=False):
        found = _cells(here)
        if found:
            lines.append([f"`{curve}`", *(found[b]["setting"] if b in found else "" for b in BUDGETS)])
    return table({"method": "<"} | {f"{budget:,}": "<" for budget in BUDGETS}, lines)


def _points(study: Committed) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = study.frame()
    return choose_settings(frame.assign(x=frame["trained"]), "test")


def _cells(points: pd.DataFrame) -> dict[int, pd.Series]:
    """The point nearest to each budget, where one is near."""
    found = {}
    for budget in BUDGETS:
        near = points[((points["trained"] - budget).abs() <= NEAR * budget) & (points["finished"] > 0)]
        if len(near):
            found[budget] = near.loc[(near["trained"] - budget).abs().astype(float).idxmin()]
    return found


def _nearest(points: pd.DataFrame, budget: int) -> str:
    return f"{min(points['trained'], key=lambda count: abs(count - budget)):,}"


def _mean(cells: dict[int, pd.Series]) -> float:
    return sum(float(cell["mean"]) for cell in cells.values()) / len(cells)
