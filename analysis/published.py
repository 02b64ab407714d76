"""Measured d90 and curves beside the published ones, with intervals.

python run.py -m experiment=li2018/mnist_fc dim=100,200,300,500,750,1000,1500 seed=0,1,2    makes the runs
python run.py -m experiment=li2018/mnist_fc method=full seed=0,1,2                          makes the baseline
python -m analysis.published outputs/mnist_fc                                               compares

The task of a run is told by its config: data, network, start. Runs of several tasks may lie in the given studies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.command import REPEATABLE, program
from analysis.figures.figure import Outcome, draw_curves, save_figure
from analysis.figures.level import Level
from analysis.references.literature import PUBLISHED, PublishedCurve
from analysis.studies.config_keys import value_text
from analysis.studies.efforts import effort_lines, efforts
from analysis.studies.floor import over_seeds
from analysis.studies.records import configs, load_records
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError
from intrinsic.threshold import estimate_threshold

EXACT = 1000  # a baseline that is known and not measured is given so often that its mean has no noise


COUNTS = ("published", "stated")  # d90: missing where nothing was published


@dataclass(frozen=True, kw_only=True)
class Comparison(Outcome):
    """What was measured beside what was published: a row for each task, curve and baseline, with baseline and d90."""

    figures: dict[str, Figure]  # by task


def published(*studies: str | Path, out: str | Path | None = None, where: Sequence[str] = ()) -> Comparison:
    """Compare every task of the studies that has published numbers; accuracy of the last epoch, as published.

    Writes published_<task>.png, .pdf and .csv for each task into `out`, or `figures` in the first study. Runs of other
    tasks are counted in a note.

    Args:
        studies: folders of runs.
        out: folder of the files.
        where: `key=value` filters on the config.

    Raises:
        UserError: as `analysis.studies.records.load_records`; if no run is of a task with published numbers.
    """
    if not studies:
        raise UserError("need at least one study, got none; pass a folder such as outputs/mnist_fc")
    runs = [_task(flat) for flat in configs(studies, where)]
    found = [task for task in PUBLISHED if task in runs]
    if not found:
        raise UserError(f"no run in {', '.join(map(str, studies))} is of a published task: see experiment=li2018/...")
    folder = Path(studies[0]) / "figures" if out is None else Path(out)
    notes = [f"runs of no published task left out: {runs.count(None)}"] if None in runs else []
    table: list[dict[str, Any]] = []
    figures: dict[str, Figure] = {}
    paths: tuple[Path, ...] = ()
    for task in found:
        conditions = [f"{key}={value_text(value)}" for key, value in task.match.items()]
        frame, said = load_records(studies, [*where, *conditions], task.split)
        full = (frame["method"] == "full") & (frame["projection"] == "Identity")
        rows, _ = choose_settings(frame[full | frame["dim"].notna()].assign(x=frame["dim"]), task.split)
        used = rows[rows["chosen"] & rows["score"].notna()]
        baselines = used[used["x"].isna()]["score"].tolist()
        notes += [f"{task.task}: {note}" for note in said]
        if not used["x"].notna().any():
            notes.append(f"{task.task}: no run with a dim has finished")
            continue
        for curve, here in used[used["x"].notna()].groupby("curve", sort=False):
            table += [_compared(task, str(curve), here, baselines, kind) for kind in ("individual", "global")]
        figures[task.task] = _figure(task, rows, baselines, effort_lines(efforts(rows, frame)))
        paths += save_figure(figures[task.task], rows, f"published_{task.task}", folder)
    sources = dict.fromkeys(f"published: {task.source}" for task in found if task.task in figures)
    rounded = pd.DataFrame(table).astype(dict.fromkeys(COUNTS if table else (), "Int64"))
    return Comparison(table=rounded, results=tuple(sources), notes=notes, paths=paths, figures=figures)


def _task(flat: dict[str, Any]) -> PublishedCurve | None:
    """The one published task that a config is of."""
    matching = (
        task
        for task in PUBLISHED
        if all(key in flat and value_text(flat[key]) == value_text(v) for key, v in task.match.items())
    )
    return next(matching, None)


def _compared(
    task: PublishedCurve, curve: str, runs: pd.DataFrame, baselines: Sequence[float], kind: str
) -> dict[str, Any]:
    """One row of the table: d90 against the network's own full training, or against the same baseline for all."""
    own = kind == "individual"
    levels = baselines if own else [task.ceiling] * EXACT
    dims, scores = runs["x"].astype(int).tolist(), runs["score"].tolist()
    if own and not baselines:
        measured = "no run of full"
    elif len(set(dims)) < 3:
        measured = f"{len(set(dims))} of 3 dims"
    else:
        start = over_seeds(runs, "start")
        measured = str(estimate_threshold(dims, scores, levels, fraction=task.fraction, start=start))
    full = "" if task.full is None else _span(*task.full)
    mean = _span(*[sum(baselines) / len(baselines)] * 2) if baselines else ""
    return {
        "task": task.task,
        "curve": curve,
        "runs": len(dims),
        "baseline": kind,
        "full": mean if own else f"{task.ceiling:g}",
        "published full": full if own else f"{task.ceiling:g}",
        "measured": measured,
        "published": task.individual if own else task.overall,
        "stated": task.stated,
    }


def _figure(task: PublishedCurve, rows: pd.DataFrame, baselines: Sequence[float], effort: Sequence[str]) -> Figure:
    """The measured curves, and the published one drawn as one more: its lowest and highest score are two points."""
    points = [
        {"curve": "published", "x": dim, "score": score, "status": "finished", "chosen": True}
        for dim, scores in task.curve.items()
        for score in sorted(set(scores))
    ]
    drawn = pd.concat([rows[rows["x"].notna()], pd.DataFrame(points)]) if points else rows[rows["x"].notna()]
    levels = []
    if baselines:
        mean = sum(baselines) / len(baselines)
        levels.append(Level(f"full {_span(mean, mean)}", mean, "-"))
    if task.full is not None:
        levels.append(Level(f"published {_span(*task.full)}", sum(task.full) / 2, ":"))
    label = f"dimension d (of {task.full_dim:,}), {task.task}"
    figure = draw_curves(
        drawn, xlabel=label, ylabel=f"{task.split} {rows['metric'].max()}", levels=levels, effort=effort
    )
    for line in (*figure.axes[0].lines, *figure.legends[0].get_lines()):
        if line.get_label() == "published":  # rings, through which the measured points show
            line.set(mfc="none", mec=line.get_color(), ms=10, mew=1.3, ls="none")
    return figure


def _span(low: float, high: float) -> str:
    """From the lowest to the highest, accuracies and returns alike."""
    first, last = (f"{each:.3f}" if abs(each) < 2 else f"{each:.1f}".removesuffix(".0") for each in (low, high))
    return first if low == high else f"{first}–{last}"


if __name__ == "__main__":
    where = "only runs whose config has it, e.g. projection._target_=...; repeatable"
    program(
        published,
        studies="folders of runs",
        options={
            "out": ("of the files (default: figures/ in the first study)", {"metavar": "FOLDER"}),
            "where": (where, REPEATABLE | {"metavar": "KEY=VALUE"}),
        },
    )
