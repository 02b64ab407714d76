"""The figure of losses on planes, and on the line between their centres."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.figures.figure import COLOURS, STYLE
from analysis.studies.measurement_file import MeasurementFile

PLANES = {"start": "around θ₀", "solution": "around the solution θ*"}
MISSING = "#BBBBBB"
LEVELS = 25  # contours of equal ratio
DEPTH = 1e-4  # of the largest loss: what is below has the darkest colour


def draw_planes(runs: Mapping[str, MeasurementFile]) -> Figure:
    """Draw a row of three panels for each run, in one colour scale.

    Args:
        runs: what `experiments.landscape` measured, by the runs' labels, with the same options.
    """
    files = list(runs.values())
    planes = np.concatenate([file.array(f"{name}/loss").ravel() for file in files for name in PLANES])
    finite = planes[np.isfinite(planes)]
    top = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    bottom = max(float(finite.min()) if finite.size else 0.0, DEPTH * top)
    norm = LogNorm(bottom, top if top > 1.01 * bottom else 2 * bottom)
    values = files[0].values
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(8.2, 1.2 + 1.9 * len(files)), layout="constrained")
        panels = figure.subplots(len(files), 3, squeeze=False, sharex="col", width_ratios=(1, 1, 1.5))
        rights = [axes.twinx() for axes in panels[:, 2]]
        for label, file, (start, solution, line), right in zip(runs, files, panels, rights, strict=True):
            for axes, name in ((start, "start"), (solution, "solution")):
                _plane(axes, file, name, norm)
            start.set_ylabel(f"{label.replace(', ', chr(10), 1)}\nb")
            solution.tick_params(labelleft=False)
            _line(line, right, file)
        for axes, title in zip(panels[0], [*PLANES.values(), "on the line θ₀ → θ*"], strict=True):
            axes.set_title(title, fontsize=10)
        for some in (list(panels[:, 2]), rights):
            _alike(some)
        for axes in panels[-1, :2]:
            axes.set_xlabel("a  (unit: |θ* − θ₀|)")
        panels[-1, 2].set_xlabel("t  (θ₀ at 0, θ* at 1)")
        bar = figure.colorbar(ScalarMappable(norm, "viridis"), ax=panels[:, :2], location="bottom", aspect=40, pad=0.02)
        _ticks(bar.ax.xaxis, bottom, top)
        bar.set_label(f"{values['split']} loss, {values['examples']:,} examples (dotted: the best constant answer)")
    return figure


def _ticks(axis: Axis, low: float, high: float) -> None:
    """Few ticks on a log axis, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 30 * low else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _plane(axes: Axes, file: MeasurementFile, name: str, norm: LogNorm) -> None:
    """Filled contours of equal ratio; grey where the loss is not finite, dotted where it is the constant answer's."""
    axis, loss = file.array("axis"), file.array(f"{name}/loss")
    low, high = float(norm.vmin or 0), float(norm.vmax or 1)
    axes.set_facecolor(MISSING)
    shown = np.ma.masked_array(loss.clip(low, high), ~np.isfinite(loss))
    if np.isfinite(loss).any():
        axes.contourf(
            axis, axis, shown, levels=np.geomspace(low, high, LEVELS), norm=norm, cmap="viridis", antialiased=False
        )
        guess = file.values["guess"].get("loss", np.nan)
        if shown.min() < guess < shown.max():
            axes.contour(axis, axis, shown, levels=[guess], colors="white", linewidths=1.2, linestyles="dotted")
    axes.plot(0, 0, "+", color="white", ms=9, mew=2.6)
    axes.plot(0, 0, "+", color="black", ms=8, mew=1.4)
    axes.set_aspect("equal")
    axes.set_xlim(axis[0], axis[-1])
    axes.set_ylim(axis[0], axis[-1])


def _line(left: Axes, right: Axes, file: MeasurementFile) -> None:
    """Loss to the left, on a log scale; score to the right; the constant answer dotted."""
    at, guess, metric = file.array("line/at"), file.values["guess"], file.values["metric"]
    left.set_yscale("log")
    for axes, key, name, colour, dashes in (
        (left, "loss", "loss", COLOURS[0], "-"),
        (right, "score", metric, COLOURS[1], "--"),
    ):
        values = file.array(f"line/{key}")
        axes.plot(at, np.where(np.isfinite(values), values, np.nan), color=colour, ls=dashes, lw=1.6)
        constant = guess.get("loss" if key == "loss" else metric)
        if constant is not None:
            axes.axhline(constant, color=colour, lw=1.1, ls=":")
        axes.set_ylabel(f"{file.values['split']} {name}", color=colour)
        axes.tick_params(axis="y", colors=colour)
    right.spines["right"].set_visible(True)
    for t in (0, 1):
        left.axvline(t, color="black", lw=0.9)
    _ticks(left.yaxis, *left.get_ylim())


def _alike(axes: Sequence[Axes]) -> None:
    """The same range of y for all."""
    lows, highs = zip(*(one.get_ylim() for one in axes), strict=True)
    for one in axes:
        one.set_ylim(min(lows), max(highs))
