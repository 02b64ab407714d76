"""Curves of scores: from the folders of studies to the three files of a figure."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.figures.figure import CurvesResult, draw_curves, save_figure
from analysis.figures.level import Level
from analysis.figures.start_levels import start_levels
from analysis.studies.config_keys import FREE, keys_under, value_text
from analysis.studies.efforts import effort_lines, efforts
from analysis.studies.floor import over_seeds, without_start
from analysis.studies.marks import EXPLAINED, Marks, marks
from analysis.studies.peft_results import peft_rows
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings, failures, points_table
from intrinsic.errors import UserError

DASHES = {"full": "-", "head": ":"}


def curves(
    name: str, studies: Sequence[str | Path], *, x: str, xlabel: str, make: str, levels: Sequence[str] = (),
    fraction: float | None = None, out: str | Path | None, split: str, epoch: str, metric: str | None,
    where: Sequence[str], across: Sequence[str] = (), results: Sequence[Path] = (), differ: bool = False,
) -> CurvesResult:  # fmt: skip
    """Load the studies, choose, draw the score against the column `x`, and save the figure as `name`.

    Args:
        name: of the three files.
        studies: folders of runs.
        x: column of `analysis.studies.records.load_records`; runs without it are no part of the curves.
        xlabel: label of the x axis.
        make: the arguments of run.py that make the runs this figure needs.
        levels: methods drawn as horizontal lines: they have no x.
        fraction: also draw the line at this fraction of `full`, in (0, 1].
        out: folder of the files; None: `figures` in the first study.
        split: see `load_records`, as for epoch, metric and where.
        epoch: see `load_records`.
        metric: see `load_records`.
        where: see `load_records`.
        across: see `load_records`; curves are named by these keys where they differ at one size.
        results: files in PEFT's form, drawn as points beside the runs, where x is `trained`.
        differ: letters behind the curves' names say which of their d90 differ, see `analysis.studies.marks`.

    Raises:
        UserError: as `load_records`; the fraction is not in (0, 1]; no run with an x has finished; several baselines.
    """
    if fraction is not None and not 0 < fraction <= 1:
        raise UserError(f"need 0 < fraction <= 1, got fraction={fraction}")
    frame, notes = load_records(studies, where, split, epoch, across=across, metric=metric)
    home = Path(studies[0])
    task = [condition for condition in where if re.split(r"[.=]", condition)[0] not in FREE]
    overrides = [condition for condition in task if not condition.endswith("=null") and "_target_=" not in condition]
    ending = shlex.join([*overrides, f"study={home.resolve().name}"])
    flat = frame["method"].isin(levels) & (frame["projection"] == "Identity")
    drawn = frame[x].notna() & ~flat
    if not drawn.any():
        raise UserError(
            f"no run in {', '.join(map(str, studies))} has a {x}; `python run.py {make} {ending}` makes some"
        )
    if not frame[drawn]["score"].notna().any():
        counts = ", ".join(f"{count} {status}" for status, count in frame[drawn]["status"].value_counts().items())
        run = frame[drawn].iloc[-1]
        raise UserError(f"no run with a {x} has finished: {counts}; {run['run_id']} says: {run['error']}")
    used = drawn | flat | (frame[x].isna() if x == "trained" else False)
    if not used.all():
        others = ", ".join(sorted(set(frame[~used]["method"])))
        notes.append(f"runs left out, without a {x}: {(~used).sum()} ({others}); analysis.compare draws them")
    keys = keys_under(frame, across)
    rows, points = choose_settings(frame[used].assign(x=frame[x].mask(flat)), split, keys)
    marked = marks(rows) if differ else Marks()
    effort = effort_lines(efforts(rows, frame))
    lines = _levels(points, levels, fraction)
    starts = _starts(frame[used], keys)
    notes += [*without_start(rows), *_reached(starts, lines, fraction)]
    beside, said = peft_rows(results, rows["metric"].max(), split)
    if len(beside):
        rows, points = pd.concat([rows, beside]), pd.concat([points, _points(beside)])
    notes += said
    if "full" in levels and not any(line.label.startswith("full") for line in lines):
        notes.append(f"no baseline: no run of full has finished; `python run.py method=full {ending}` makes one")
    figure = draw_curves(
        rows[rows["x"].notna()].assign(curve=lambda drawn: drawn["curve"].replace(marked.names)),
        xlabel="\n".join([xlabel, *([EXPLAINED] if marked.names else [])]),
        ylabel=f"{split} {rows['metric'].max()}{' at the best epoch' * (epoch == 'best')}",
        levels=[*lines, *start_levels(starts)],
        ticks=sorted(set(frame[drawn][x])) if x == "rank" else (),
        effort=effort,
    )
    for line in (*figure.axes[0].lines, *figure.legends[0].get_lines()):
        if len(beside) and line.get_label() in set(beside["curve"]):
            line.set_linestyle("none")  # results of other settings, and no curve
    paths = save_figure(figure, rows, name, home / "figures" if out is None else Path(out))
    return CurvesResult(
        rows=rows,
        table=points_table(points, x),
        more=marked.tables,
        points=points,
        notes=[*notes, *marked.notes],
        paths=paths,
        figure=figure,
        results=(*marked.results, *failures(rows)),
        effort=effort,
    )


def _points(beside: pd.DataFrame) -> pd.DataFrame:
    """Published results as points."""
    return pd.DataFrame([
        {
            "curve": curve, "x": x, "trained": x, "finished": len(here), "runs": len(here),
            "mean": here["score"].mean(), "sd": here["score"].std(), "setting": "published", "tried": 1,
        }
        for (curve, x), here in beside.groupby(["curve", "x"], sort=False)
    ])  # fmt: skip


def _starts(frame: pd.DataFrame, across: Sequence[str]) -> list[float]:
    """The mean score at the start, over seeds; of each task, where the runs are of several."""
    tasks = frame["config"].map(lambda flat: tuple(value_text(flat.get(key)) for key in across))
    means = [over_seeds(runs, "start") for _, runs in frame.groupby(tasks, sort=False)]
    return [mean for mean in means if mean is not None]


def _reached(starts: Sequence[float], lines: Sequence[Level], fraction: float | None) -> list[str]:
    """A note where the start is above the line that is drawn at a fraction of the baseline."""
    targets = [line.score for line in lines if line.label.endswith("% of full")]
    over = [start for start in starts for target in targets if start >= target]
    if not over or fraction is None:
        return []
    percent = f"{100 * fraction:g}"
    return [
        f"the start, {over[0]:.3f}, is above {percent} % of full: d{percent} = 0; "
        "`python -m analysis.threshold --floor start` asks for a part of what training adds"
    ]


def _levels(points: pd.DataFrame, methods: Sequence[str], fraction: float | None) -> list[Level]:
    """The horizontal lines: one of each method without an x that has a mean."""
    found = points[points["x"].isna() & points["mean"].notna() & bool(methods)]
    found = found.assign(method=[curve.partition(",")[0] for curve in found["curve"]])
    lines = [
        Level(f"{curve} {mean:.3f}", mean, DASHES[method])
        for curve, mean, method in zip(found["curve"], found["mean"], found["method"], strict=True)
    ]
    full = found[found["method"] == "full"]
    if fraction is not None and len(full) > 1:
        raise UserError(
            f"need one baseline for --fraction, got {'; '.join(full['curve'])}; choose with --where KEY=VALUE"
        )
    if fraction is not None and len(full) == 1:
        lines.append(Level(f"{100 * fraction:g} % of full", fraction * full["mean"].iloc[0], "--"))
    return lines
