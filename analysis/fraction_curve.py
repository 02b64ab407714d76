"""The threshold against the fraction of full training that it asks for: is 90 % a special choice?

python run.py -m hydra/sweeper=threshold method=subspace study=d90         makes runs around d90
python run.py -m method=subspace dim=10,30,100,300,1000 seed=0,1,2 study=dims   or runs at all sizes
python run.py -m method=full seed=0,1,2 study=dims                         and the baseline
python -m analysis.fraction_curve outputs/dims                             measures and draws
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from analysis.figures.bounds import draw_bounds
from analysis.figures.command import program
from analysis.figures.figure import COLOURS, LABEL, STYLE, FigureResult, save_figure
from analysis.figures.footer import footer
from analysis.studies.config_keys import keys_under
from analysis.studies.efforts import effort_lines, efforts
from analysis.studies.estimates import AXES, estimates, incomplete
from analysis.studies.floor import Floor, without_start
from analysis.studies.plain import plain
from analysis.studies.records import load_records
from intrinsic.checks import number
from intrinsic.errors import UserError
from intrinsic.threshold import estimate_threshold

FRACTIONS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.99)


def fraction_curve(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    epoch: str = "last",
    metric: str | None = None,
    where: Sequence[str] = (),
    axis: str = "dim",
    fractions: Sequence[float] = FRACTIONS,
    floor: str | float = "none",
    chance: float | None = None,
    estimator: str = "auto",
    estimand: str = "mean",
    confidence: float = 0.95,
    across: Sequence[str] = (),
) -> FigureResult:
    """Draw d(tau) for each curve: the estimate at each fraction tau of the baseline, its interval as a band.

    Each fraction is estimated from the same runs by itself, most sharply where the runs are: those of a search for d90
    lie around d90. A triangle is a bound: beyond the tried sizes. A 0 at the edge stands where the start, before any
    training, reaches the fraction. Writes fraction_curve.png, .pdf and .csv.

    Args:
        studies: folders of runs, of one task, the baseline among them (method full, several seeds).
        out: folder of the files.
        split: the split that is reported, `test`, `validation` or `train`.
        epoch: `last`, or `best` for each run's best epoch on validation data.
        metric: see `analysis.studies.records.load_records`.
        where: `key=value` filters on the config.
        axis: the size: an integer knob of the runs, or `trained` for the count of trainable parameters.
        fractions: of the baseline, each in (0, 1).
        floor: see `analysis.threshold`, as for chance.
        chance: see there.
        estimator: see `intrinsic.estimate_threshold`, as for estimand and confidence.
        estimand: `mean` or `success`.
        confidence: of the band, at each fraction.
        across: see `analysis.threshold`.

    Raises:
        UserError: as `analysis.threshold`; fractions that are none, outside (0, 1), or fewer than two.
    """
    taus = sorted({number("fractions", each) for each in fractions})
    wrong = [tau for tau in taus if not 0 < tau < 1]
    if wrong:
        raise UserError(f"need every one of --fractions in (0, 1), got {wrong[0]:g}: 0.5 0.9 0.99 for 50, 90 and 99 %")
    if len(taus) < 2:
        raise UserError(f"need two different --fractions for a curve, got {len(taus)}; analysis.threshold takes one")
    asked = Floor.of(floor, chance, "--floor")
    frame, notes = load_records(studies, where, split, epoch, across=across, metric=metric)
    options: dict[str, Any] = {"estimator": estimator, "estimand": estimand, "confidence": confidence}
    runs, _, found = estimates(
        frame, axis=axis, split=split, across=keys_under(frame, across), fraction=taus[0], floor=floor, chance=chance,
        **options,
    )  # fmt: skip
    notes += without_start(runs)
    problem = incomplete(found, axis)
    if problem is not None:
        raise UserError(f"{', '.join(map(str, studies))}: {problem}")
    rows = pd.DataFrame(
        {"curve": each.curve, "tau": tau}
        | estimate_threshold(
            each.dims, each.scores, each.baselines, fraction=tau,
            floor=each.threshold.floor, start=each.threshold.start, **options,
        ).to_dict()
        | {"smallest": min(each.dims), "largest": max(each.dims)}
        for each in found
        if each.threshold is not None
        for tau in taus
    ).drop(columns="fraction")  # fmt: skip
    figure = _figure(rows, AXES.get(axis, axis), f"fraction of full training{asked.above} (%)")
    effort = effort_lines(efforts(runs, frame))
    footer(figure, effort)
    paths = save_figure(figure, rows, "fraction_curve", Path(studies[0]) / "figures" if out is None else Path(out))
    return FigureResult(rows=rows, table=_table(rows), notes=notes, paths=paths, figure=figure, effort=effort)


def _figure(rows: pd.DataFrame, ylabel: str, xlabel: str) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot(yscale="log")
        handles = []
        for k, (curve, here) in enumerate(rows.groupby("curve", sort=False)):
            colour = COLOURS[k % len(COLOURS)]
            tau = 100 * here["tau"].to_numpy(float)
            low, high = (here[end].astype(float).fillna(here[tried]).mask(here["censored"] == "start")
                         for end, tried in (("low", "smallest"), ("high", "largest")))  # fmt: skip
            axes.fill_between(tau, low, high, color=colour, alpha=0.18, lw=0)
            known = here["censored"].isna().to_numpy()
            value = here["value"].to_numpy(float)
            handles += axes.plot(
                tau, np.where(known, value, np.nan), color=colour, lw=1.5, ms=5, mec="white", mew=0.7,
                marker="o", label=plain(str(curve), LABEL),
            )  # fmt: skip
            draw_bounds(axes, tau, here, k, color=colour, ms=7)
        axes.axvline(90, color="black", lw=1.0, ls="--", zorder=1.5)
        first, last = min(90.0, 100 * rows["tau"].min()), max(90.0, 100 * rows["tau"].max())
        axes.set_xlim(first - 0.05 * (last - first), last + 0.05 * (last - first))
        axes.set(xlabel=xlabel, ylabel=f"{ylabel} that reaches it")
        decades = np.log10(rows["largest"].max() / rows["smallest"].min())
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0), numticks=99))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        longest = max(len(str(handle.get_label())) for handle in handles)
        columns = max(1, min(4, int(6.3 / (0.6 + 0.073 * longest))))
        figure.legend(handles=handles, loc="outside upper center", ncols=columns, handletextpad=0.5, columnspacing=1.6)
    return figure


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each fraction, a column for each curve: 612 [560, 680], > 1000."""
    table = pd.DataFrame({"fraction": rows["tau"].drop_duplicates().map("{:.3g}".format)}).reset_index(drop=True)
    for curve, here in rows.groupby("curve", sort=False):
        table[str(curve)] = [_said(row) for row in here.to_dict("records")]
    return table


def _said(row: dict[str, Any]) -> str:
    if row["censored"] == "start":
        return "0 (start)"
    sign = ""
    if isinstance(row["censored"], str):
        sign, end = ("> ", row["low"]) if row["censored"] == "above" else ("< ", row["high"])
        if end == row["value"]:
            return f"{sign}{row['value']:.4g}"  # all of the interval lies beyond
    low, high = ("?" if pd.isna(row[end]) else f"{row[end]:.4g}" for end in ("low", "high"))
    return f"{sign}{row['value']:.4g} [{low}, {high}]"


if __name__ == "__main__":
    program(fraction_curve)
