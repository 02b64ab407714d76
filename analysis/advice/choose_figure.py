"""Score against rank, and by type of matrix what a trainable parameter gains and where training went."""

from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator, PercentFormatter

from analysis.advice.matrix_gains import MatrixGains
from analysis.advice.recommendation import interval
from analysis.advice.smallest_rank import SmallestRank
from analysis.figures.figure import COLOURS, MARKERS, STYLE
from analysis.figures.powers_of_ten import powers_of_ten


def choose_figure(sizes: SmallestRank | None, offers: MatrixGains | None) -> Figure:
    """Draw what there is: one panel of the runs, and one or two of the matrices."""
    with mpl.rc_context(STYLE):
        widths = [1.25] * (sizes is not None) + ([1.0] + [1.0] * bool(offers.labels) if offers is not None else [])
        margin = 0.4 if sizes is None else 0.0
        figure = Figure(figsize=(3.3 * sum(widths) + margin, 4.2), layout="constrained")
        panels = list(np.atleast_1d(figure.subplots(1, len(widths), width_ratios=widths)))
        if sizes is not None:
            _ranks(panels.pop(0), sizes)
        if offers is not None:
            _gains(panels[0], offers)
            if offers.labels:
                _movement(panels[1], offers)
    return figure


def _ranks(axes: Axes, sizes: SmallestRank) -> None:
    axes.set_xscale("log", base=2)
    runs = sizes.rows[sizes.rows["chosen"] & sizes.rows["score"].notna()]
    drawn = runs[runs["x"].notna()]
    for number, (curve, mine) in enumerate(drawn.groupby("curve", sort=False)):
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        axes.plot(mine["x"].to_numpy(float), mine["score"], **look, ls="none", ms=4, mew=0, alpha=0.4)
        mean = mine.groupby("x")["score"].mean()
        axes.plot(mean.index.to_numpy(float), mean, **look, lw=1.5, ms=6, mec="white", mew=0.8, label=fill(curve, 40))
    ticks = sorted({int(x) for x in drawn["x"]})
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter(list(map(str, ticks))))
    axes.xaxis.set_minor_locator(NullLocator())
    left, right = ticks[0] / 1.25, ticks[-1] * 1.25
    for threshold, colour in zip(sizes.thresholds, COLOURS[1:] * 2, strict=False):
        axes.axhline(threshold.target, color=colour, lw=1.0, ls="--", zorder=1)
        low, high = threshold.low or left, threshold.high or right
        if threshold.censored != "start":
            axes.axvspan(low, high, color=colour, alpha=0.13, lw=0, zorder=0)
        if threshold.censored is None:
            axes.axvline(threshold.value, color=colour, lw=1.2, zorder=1)
        axes.plot([], [], color=colour, lw=1.2, label=interval(threshold))
    if sizes.thresholds:
        axes.axhline(sizes.thresholds[0].baseline, color="black", lw=1.1, zorder=1.5, label="full training")
    axes.set(xlabel="rank r", ylabel=f"validation {drawn['metric'].iloc[0]}", xlim=(left, right))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _gains(axes: Axes, offers: MatrixGains) -> None:
    """A point a matrix, for 1,000 parameters; a bar at the mean of each type. Log scale where they differ much."""
    gains = offers.matrices["gain"] * 1000
    if gains.max() > 10 * gains[gains > 0].min():
        axes.set_xscale("log")
        powers_of_ten(axes.xaxis)
    for place, name in enumerate(offers.types["type"]):
        each = gains[offers.matrices["type"] == name]
        spread = np.linspace(-0.2, 0.2, len(each)) if len(each) > 1 else [0.0]
        axes.plot(each, place + np.asarray(spread), "o", color=COLOURS[0], ms=4.5, mew=0, alpha=0.6)
        axes.plot([each.mean()], [place], "|", color=COLOURS[0], ms=20, mew=2.5)
    axes.plot([], [], "o", color=COLOURS[0], ms=4.5, mew=0, alpha=0.6, label="a layer, first on top")
    axes.plot([], [], "|", color=COLOURS[0], ms=9, mew=2.5, label="mean of the layers")
    axes.axvline(offers.average() * 1000, color="black", lw=1.1, ls="--", label="the average parameter")
    _bars(axes, offers)
    axes.set_yticks(range(len(offers.types)), list(offers.types["type"]))
    axes.set_xlabel(f"gain at θ₀, rank {offers.rank}:\nfall of the loss by unit of\n‖ΔW‖ and 1,000 parameters")


def _movement(axes: Axes, offers: MatrixGains) -> None:
    types, labels = offers.types, offers.labels
    places, height = np.arange(len(types)), 0.62 / len(labels)
    for number, label in enumerate(labels):
        shift = (number - (len(labels) - 1) / 2) * height
        axes.barh(places + shift, types[label], height, color=COLOURS[1 + number], alpha=0.75, lw=0, label=label)
    axes.plot(types["weights"], places, "|", color="black", ms=16, mew=1.4)
    axes.plot([], [], "|", color="black", ms=9, mew=1.4, label="if all weights moved alike")
    _bars(axes, offers)
    axes.set_yticks(places, [""] * len(places))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, 0))
    axes.set_xlabel("found by training:\nshare of ‖ΔW‖²\n")


def _bars(axes: Axes, offers: MatrixGains) -> None:
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.set_ylim(len(offers.types) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
