"""The figure of scores at rank k: what is cut to it, and what is trained at it."""

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.figures.figure import COLOURS, STYLE

UPDATE, BASE, LORA = "ΔW cut to rank k", "W₀ cut to rank k", "LoRA trained at rank k"
NULL = ", k random directions"
RANDOM = "k random singular directions"
LOOKS = {UPDATE: (COLOURS[0], "o"), BASE: (COLOURS[2], "^")}
LORAS = ((COLOURS[1], "s"), (COLOURS[3], "D"), (COLOURS[4], "v"), (COLOURS[5], "<"))  # of its variants, in turn
PANELS = ("Is LoRA the truncated update?\nW₀ + [ΔW]ₖ", "Is W₀ rank-deficient?\n[W₀]ₖ + ΔW")
ZERO = 0.5  # where k = 0 stands on the log2 axis


def draw_cuts(points: pd.DataFrame, best: float, guess: float | None, ylabel: str) -> Figure:
    """Draw the cut updates beside LoRA, and the cut bases, on one axis of scores.

    Args:
        points: a row for each score: curve, k, score.
        best: the level of full fine-tuning.
        guess: the level of the best constant answer; None: not drawn.
        ylabel: the label of the y axis.
    """
    loras = variants(points)
    looks = LOOKS | {curve: LORAS[number % len(LORAS)] for number, curve in enumerate(loras)}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.3), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, title, curves in zip(panels, PANELS, ((UPDATE, *loras), (BASE,)), strict=True):
            for curve in curves:
                _curve(axes, points[points["curve"] == curve + NULL], RANDOM, None)
                _curve(axes, points[points["curve"] == curve], curve, looks[curve])
            axes.axhline(best, color="black", lw=1.1, zorder=1.5)
            if guess is not None:
                axes.axhline(guess, color="black", lw=1.1, ls=":", zorder=1.5)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator([float(k) or ZERO for k in _ticks(points)]))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticklabels([str(k) for k in _ticks(points)])
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("rank k")
        panels[0].set_ylabel(ylabel)
        panels[0].annotate("full fine-tuning", (0, best), (3, 3), xycoords=panels[0].get_yaxis_transform(),
                           textcoords="offset points", fontsize=9)  # fmt: skip
        if guess is not None:
            panels[1].annotate("the best constant answer", (1, guess), (0, 3), ha="right", fontsize=9,
                               xycoords=panels[1].get_yaxis_transform(), textcoords="offset points")  # fmt: skip
        lines = {str(line.get_label()): line for axes in panels for line in axes.lines}
        labels = [label for label in (UPDATE, *loras, BASE, RANDOM) if label in lines]
        figure.legend([lines[label] for label in labels], labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


def _ticks(points: pd.DataFrame) -> list[int]:
    """The ranks from the largest on, less those too close to the one above for two labels."""
    shown: list[int] = []
    for k in sorted(set(points["k"]), reverse=True):
        if not shown or shown[-1] >= 1.6 * max(k, ZERO):
            shown.append(k)
    return shown


def _curve(axes: Axes, points: pd.DataFrame, label: str, look: tuple[str, str] | None) -> None:
    """The mean over seeds and draws as a line, each score as a pale point; without a look the null: dashed."""
    if points.empty:
        return
    at = points["k"].astype(float).replace(0, ZERO)
    mean = points.assign(at=at).groupby("at")["score"].mean()
    if look is None:
        axes.plot(mean.index, mean, color="#777777", ls="--", lw=1.2, label=label)
        return
    colour, marker = look
    axes.plot(at, points["score"], color=colour, marker=marker, ls="none", ms=4, mew=0, alpha=0.4)
    axes.plot(mean.index, mean, color=colour, marker=marker, lw=1.5, ms=6, mec="white", mew=0.8, label=label)


def variants(points: pd.DataFrame) -> list[str]:
    """The curves of LoRA: one, or several that differ in more than the rank."""
    return sorted(curve for curve in set(points["curve"]) if curve.startswith(LORA))
