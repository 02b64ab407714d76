"""Simulated searches for d90 whose truth is known: how often the intervals hold it, and how far the estimates are off.

python -m analysis.simulation        200 searches a cell on all cores, then docs/figures/threshold_{coverage,error}.png
"""

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.figures.figure import COLOURS, MARKERS, OUT, STYLE
from analysis.references.simulated_searches import DESIGNS, NOISES, RESAMPLES, SHAPES, search
from intrinsic.files.atomic import write_atomically
from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import command_parser
from intrinsic.threshold import estimate_threshold

OTHERS = ("logistic", "isotonic", "first_crossing")  # on grids only


def simulate(
    shape: str, noise: float, design: str, numbers: Iterable[int], estimators: Iterable[str] = ("auto",)
) -> pd.DataFrame:
    """One row for each search and estimator: error of log2 d90, width of the interval in octaves, covered, reach.

    A censored value counts as its bound, so that no search is left out; an open end covers what lies beyond, and makes
    the width infinite. `reach` is how far the truth lies from the estimate, in distances to the interval's end on its
    side: what the interval must be multiplied by to end at the truth.
    """
    rows = []
    for number in numbers:
        made = search(shape, noise, design, number)
        for estimator in estimators:
            found = estimate_threshold(made.dims, made.scores, made.baselines, estimator=estimator, resamples=RESAMPLES)
            low = -np.inf if found.low is None else np.log2(found.low)
            high = np.inf if found.high is None else np.log2(found.high)
            value = np.log2(found.value)
            room = (high - value) if made.truth > value else (value - low)
            rows.append(
                {
                    "shape": shape,
                    "noise": noise,
                    "design": design,
                    "estimator": estimator,
                    "error": value - made.truth,
                    "width": high - low,
                    "covered": low <= made.truth <= high,
                    "reach": abs(value - made.truth) / room if room > 0 else np.inf,
                    "runs": found.runs,
                }
            )
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: coverage, RMSE of log2 d90, median width; `needed` is the share of the width that holds 95 %."""
    cells = rows.groupby(["design", "shape", "noise", "estimator"], sort=False)
    return cells.agg(
        searches=("error", "size"),
        coverage=("covered", "mean"),
        rmse=("error", lambda error: float(np.sqrt(np.mean(error**2)))),
        width=("width", "median"),
        needed=("reach", lambda reach: float(np.quantile(reach, 0.95))),
    ).reset_index()


def _some(cells: pd.DataFrame, **equal: object) -> pd.DataFrame:
    return cells[np.logical_and.reduce([cells[name] == value for name, value in equal.items()])]


def draw_coverage(cells: pd.DataFrame) -> Figure:
    """Coverage of the 95 % intervals: a panel for each design, the default filled, the global logistic open."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.0), layout="constrained")
        for axes, design in zip(figure.subplots(1, 3, sharey=True), DESIGNS, strict=True):
            axes.axhspan(92, 98, color="#DDDDDD", lw=0, zorder=0)
            for number, shape in enumerate(SHAPES):
                for estimator, fill in (("logistic", "white"), ("auto", COLOURS[number])):
                    some = _some(cells, design=design, shape=shape, estimator=estimator)
                    axes.plot(
                        np.arange(len(some)) + 0.13 * (number - 2), 100 * some["coverage"], ls="none", ms=6,
                        marker=MARKERS[number], color=COLOURS[number], mfc=fill,
                        label=shape if estimator == "auto" else None,
                    )  # fmt: skip
            axes.set(title=design, xlabel="noise (sd over seeds)", xticks=range(len(NOISES)), xticklabels=NOISES)
            axes.title.set_fontsize(10)
        figure.axes[0].set(ylabel="95 % intervals that hold the truth (%)", ylim=(-3, 103))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(SHAPES), handletextpad=0.3)
        figure.supxlabel(
            "filled: the default; open: a global logistic with bootstrap (grids only); grey: 92 to 98 %", fontsize=9
        )
    return figure


def draw_error(cells: pd.DataFrame) -> Figure:
    """RMSE of log2 d90 at noise 0.03: how runs are placed, and how they are read."""
    kinds = [
        (DESIGNS[0], "first_crossing", "7 dims x 3 seeds, first crossing"),
        (DESIGNS[1], "first_crossing", "21 dims x 1 seed, first crossing"),
        (DESIGNS[1], "isotonic", "21 dims x 1 seed, isotonic"),
        (DESIGNS[1], "logistic", "21 dims x 1 seed, logistic"),
        (DESIGNS[1], "auto", "21 dims x 1 seed, default"),
        (DESIGNS[2], "auto", "adaptive, default"),
    ]
    with mpl.rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.add_subplot(xscale="log")
        for number, shape in enumerate(SHAPES):
            rmse = [
                _some(cells, noise=0.03, shape=shape, design=design, estimator=estimator)["rmse"].item()
                for design, estimator, _ in kinds
            ]
            where = np.arange(len(kinds)) + 0.1 * (number - 2)
            axes.plot(
                rmse, where, ls="none", marker=MARKERS[number], ms=7, color=COLOURS[number], mec="white", label=shape
            )
        axes.set(yticks=range(len(kinds)), yticklabels=[label for *_, label in kinds], ylim=(len(kinds) - 0.5, -0.5))
        axes.set_xlabel("RMSE of log2 d90 (octaves), 21 runs, noise 0.03")
        axes.xaxis.set_major_locator(FixedLocator([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        figure.legend(loc="outside upper center", ncols=len(SHAPES), handletextpad=0.3)
    return figure


def main() -> None:
    """Simulate every cell, print the table, and write the figures."""
    parser = command_parser("analysis.simulation", __doc__)
    parser.add_argument("--searches", type=int, default=200, help="in each cell (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="folder (default: %(default)s)")
    options = parser.parse_args()
    half = range(options.searches // 2)
    tasks = [(*cell, range(options.searches), ("auto",)) for cell in product(SHAPES, NOISES, DESIGNS)]
    tasks += [(*cell, half, OTHERS) for cell in product(SHAPES, NOISES, DESIGNS[:2])]
    with command():
        with ProcessPoolExecutor(options.workers) as pool:
            result = table(pd.concat(pool.map(simulate, *zip(*tasks, strict=True))))
        print(result.to_string(index=False, float_format="%.3f"))
        for name, figure in (("coverage", draw_coverage(result)), ("error", draw_error(result))):
            with mpl.rc_context(STYLE):
                write_atomically(
                    options.out / f"threshold_{name}.png",
                    partial(figure.savefig, metadata={"Software": None}),
                    remedy=OUT,
                )


if __name__ == "__main__":
    main()
