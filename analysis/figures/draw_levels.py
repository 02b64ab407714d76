"""Horizontal lines of a figure of scores, labelled at its right margin."""

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.level import THIN, Level
from intrinsic.threshold.isotonic import isotonic

LINE = 12  # points between two labels, or more
FAR = 0.6  # of the height of all else: a start that lies farther off would flatten the curves


def draw_levels(figure: Figure, axes: Axes, levels: Sequence[Level]) -> None:
    """Draw the levels, and write their labels, moved up or down as little as may be where two would overlap.

    A start is thin; one far from all curves is no line but an arrow at the edge, beside its number.
    """
    for level in levels:
        if level.dashes != THIN:
            axes.axhline(level.score, color=level.colour, lw=1.1, ls=level.dashes, zorder=1.5)
    low, high = axes.get_ylim()
    far = FAR * (high - low)
    for level in levels:
        if level.dashes == THIN and low - far <= level.score <= high + far:
            axes.axhline(level.score, color=level.colour, lw=0.7, ls=level.dashes, zorder=1.5)
    low, high = axes.get_ylim()
    if any(not low <= level.score <= high for level in levels):
        axes.set_ylim(low, high)  # the edge stays where the arrow is
    placed = [
        (label + (" ↓" if score < low else " ↑" if score > high else ""), min(max(score, low), high), colour)
        for label, score, _, colour in sorted(levels, key=lambda level: level.score)
    ]
    notes = [
        axes.annotate(
            label, (1, at), (6, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            va="center", fontsize=9, annotation_clip=False, color=colour,
        )
        for label, at, colour in placed
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.draw_without_rendering()  # the layout, and so each label's height in points
    if not placed:
        return
    heights = np.array([axes.transData.transform((1, at))[1] for _, at, _ in placed]) * 72 / figure.dpi
    below = LINE * np.arange(len(placed))
    moved = isotonic(heights[None] - below, np.ones(len(placed)))[0] + below
    for note, shift in zip(notes, moved - heights, strict=True):
        note.set_position((6, shift))
