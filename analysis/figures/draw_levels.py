"""Horizontal lines of a figure of scores, labelled at its right margin."""

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.start_levels import THIN

FAR = 0.6  # of the height of all else: a start that lies farther off would flatten the curves


def draw_levels(figure: Figure, axes: Axes, levels: Sequence[tuple[str, float, str]]) -> None:
    """Draw the levels (label, score, line style), and write their labels, moved up or down where two would overlap.

    A start is thin; one far from all curves is no line but an arrow at the edge, beside its number.
    """
    for _, score, dashes in levels:
        if dashes != THIN:
            axes.axhline(score, color="black", lw=1.1, ls=dashes, zorder=1.5)
    low, high = axes.get_ylim()
    placed = []
    for label, score, dashes in sorted(levels, key=lambda level: level[1]):
        at = score
        if dashes == THIN and not low - FAR * (high - low) <= score <= high + FAR * (high - low):
            at = low if score < low else high
            label += " ↓" if score < low else " ↑"
        elif dashes == THIN:
            axes.axhline(score, color="black", lw=0.7, ls=dashes, zorder=1.5)
        placed.append((label, at))
    if any(at in (low, high) for _, at in placed):
        axes.set_ylim(axes.get_ylim())  # the edge stays where the arrow is
    notes = [
        axes.annotate(
            label, (1, at), (6, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            va="center", fontsize=9, annotation_clip=False,
        )
        for label, at in placed
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.draw_without_rendering()  # the layout, and so each label's height in points
    at_points = np.array([axes.transData.transform((1, at))[1] for _, at in placed]) * 72 / figure.dpi
    moved = at_points.copy()
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + 12)
    shifts = moved - at_points
    for note, shift in zip(notes, shifts - shifts.mean() if len(shifts) else (), strict=True):
        note.set_position((6, shift))
