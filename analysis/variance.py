"""The shares of theta_0, P, data order and dropout in the variance of the score, against the dimension.

python run.py experiment=variance                  makes the runs: levels of each source, every two of which meet once
python -m analysis.variance outputs/variance       measures and draws
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.command import program
from analysis.figures.figure import COLOURS, MARKERS, STYLE, FigureResult, save_figure
from analysis.figures.footer import footer
from analysis.studies.config_keys import value_text
from analysis.studies.estimates import AXES, on_axis
from analysis.studies.plain import plain
from analysis.studies.records import load_records
from analysis.studies.variance_shares import VarianceShares, variance_shares
from intrinsic.checks import number
from intrinsic.errors import UserError
from intrinsic.files.seed_of import SOURCES

MAKE = "`python run.py experiment=variance` makes some"
NAMES = {"init": "θ₀", "projection": "P", "order": "data order", "dropout": "dropout"}  # in the figure


def variance(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    epoch: str = "last",
    where: Sequence[str] = (),
    axis: str = "dim",
    confidence: float = 0.95,
) -> FigureResult:
    """Draw the share of each source at each size, with its interval. Writes variance.png, .pdf and .csv.

    A source's level is its `seeds.<source>`, or the run's `seed` where that is null. Sources whose levels go together
    in all runs are one source. The residual is what the sources do to one another: a run with all seeds given again
    is the same run.

    Args:
        studies: folders of runs, of one task and one method.
        out: folder of the files.
        split: of the score, `test`, `validation` or `train`.
        epoch: `last`, or `best` for each run's best epoch on validation data.
        where: `key=value` filters on the config.
        axis: the size: an integer knob of the runs, or `trained` for the count of trainable parameters.
        confidence: of each interval.

    Raises:
        UserError: as `load_records`; if no run has a seed of a source by itself; a run without a score; and, at any
            size, as `analysis.studies.variance_shares`.
    """
    if not 0 < number("confidence", confidence) < 1:
        raise UserError(f"need 0 < confidence < 1, got confidence={confidence:g}")
    frame, notes = load_records(studies, where, split, epoch)
    shown = ", ".join(map(str, studies))
    keys = [f"seeds.{source}" for source in SOURCES]
    if not any(flat.get(key) is not None for flat in frame["config"] for key in keys):
        raise UserError(f"{shown}: no run has seeds apart (seeds.projection=1, say): {MAKE}")
    frame = frame.assign(x=on_axis(frame, axis))
    if frame["x"].isna().any():
        notes = [*notes, f"runs left out, without a {axis}: {frame['x'].isna().sum()}"]
    tables = []
    for x, runs in frame[frame["x"].notna()].groupby("x"):
        try:
            tables.append(_at_one_size(int(x), runs, confidence))
        except UserError as error:
            raise UserError(f"{shown}: {axis}={x}: {error}") from None
    rows = pd.concat(tables, ignore_index=True)
    effort = (_effort(rows, frame[frame["x"].notna()]),)
    figure = _figure(rows, AXES.get(axis, axis), f"share of the variance of {split} {frame['metric'].max()} (%)")
    footer(figure, effort)
    paths = save_figure(figure, rows, "variance", Path(studies[0]) / "figures" if out is None else Path(out))
    return FigureResult(rows=rows, table=_table(rows, axis), notes=notes, paths=paths, figure=figure, effort=effort)


def _at_one_size(x: int, runs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """A row for each source at this size, and one of the residual."""
    lost = runs[runs["score"].isna()]
    if len(lost):
        raise UserError(
            f"{len(lost)} of {len(runs)} runs have no score, {lost['run_id'].iloc[0]} has {lost['status'].iloc[0]}"
        )
    levels = _levels(runs)
    found: VarianceShares = variance_shares(levels, runs["score"].tolist(), confidence=confidence)
    return pd.DataFrame({
        "x": x, "source": [*levels, "residual"], "levels": [*(len(set(of)) for of in levels.values()), pd.NA],
        "runs": len(runs), "mean": runs["score"].mean(), "variance": found.variance,
        "share": found.share, "low": found.low, "high": found.high,
    }).astype({"levels": "Int64"})  # fmt: skip


def _levels(runs: pd.DataFrame) -> dict[str, list[int]]:
    """The level of each source that varies in each run; of sources that vary together under one name."""
    names: dict[tuple[int, ...], list[str]] = {}
    for source in SOURCES:
        of = tuple(
            _level(flat.get(f"seeds.{source}"), seed) for flat, seed in zip(runs["config"], runs["seed"], strict=True)
        )
        if len(set(of)) > 1:
            names.setdefault(of, []).append(source)
    return {" + ".join(sources): list(of) for of, sources in names.items()}


def _level(own: Any, seed: int) -> int:
    if own is not None and type(own) is not int:
        raise UserError(f"a record has a seed that is no integer, {plain(value_text(own), 60)}: leave it out")
    return seed if own is None else own


def _figure(rows: pd.DataFrame, xlabel: str, ylabel: str) -> Figure:
    sizes, sources = sorted(set(rows["x"])), list(dict.fromkeys(rows["source"]))
    sources.sort(key="residual".__eq__)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot(ylim=(0, 100), xlabel=xlabel, ylabel=ylabel)
        for k, source in enumerate(sources):
            here = rows[rows["source"] == source]
            place = np.array([sizes.index(x) for x in here["x"]]) + 0.16 * (k - (len(sources) - 1) / 2)
            share, low, high = (100 * here[name].to_numpy(float) for name in ("share", "low", "high"))
            look: dict[str, Any] = {"color": "#555555" if source == "residual" else COLOURS[k % len(COLOURS)]}
            dot: dict[str, Any] = {"marker": MARKERS[k % len(MARKERS)], "ms": 7, "mec": "white", "mew": 0.8}
            label = " + ".join(NAMES.get(name, name) for name in source.split(" + "))
            axes.vlines(place, low, high, lw=1.5, alpha=0.55, **look)
            axes.plot(place, share, label=label, ls="none", clip_on=False, zorder=3, **dot, **look)
        spread = rows.groupby("x")["variance"].sum() ** 0.5
        axes.set_xticks(range(len(sizes)), [f"{x:,}\nsd {spread[x]:.2g}" for x in sizes])
        axes.margins(x=0.2 / len(sizes))
        figure.legend(loc="outside upper center", ncols=len(sources), handletextpad=0.3, columnspacing=1.6)
    return figure


def _effort(rows: pd.DataFrame, frame: pd.DataFrame) -> str:
    """`runs of each size: 49 · levels of each source: 7 · epochs: 3`."""
    epochs = [flat.get("epochs") for flat in frame["config"]]
    counts = {
        "runs of each size": rows["runs"].tolist(),
        "levels of each source": rows["levels"].dropna().tolist(),
        "epochs": [count for count in epochs if type(count) is int],
    }
    spans = {name: sorted({min(found), max(found)}) for name, found in counts.items() if found}
    return " · ".join(f"{name}: {' to '.join(map(str, span))}" for name, span in spans.items())


def _table(rows: pd.DataFrame, axis: str) -> pd.DataFrame:
    """A row for each size: runs, mean and sd of the score, and the share of each source: 41 % [12, 80]."""
    lines: list[dict[str, Any]] = []
    for x, here in rows.groupby("x"):
        line = {
            axis: x,
            "runs": here["runs"].iloc[0],
            "mean": here["mean"].iloc[0],
            "sd": here["variance"].sum() ** 0.5,
        }
        lines.append(line | {row.source: _said(row) for row in here.itertuples()})
    return pd.DataFrame(lines)


def _said(row: Any) -> str:
    return f"{100 * row.share:.0f} % [{100 * row.low:.0f}, {100 * row.high:.0f}]"


if __name__ == "__main__":
    program(variance)
