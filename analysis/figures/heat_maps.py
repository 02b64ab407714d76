"""Rows of heat maps with one colour scale from 0 to 1."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.figure import STYLE

Panel = tuple[str, np.ndarray]  # a title, and values in [0, 1]: row i is at height i + 1


def heat_maps(groups: Sequence[tuple[str, Sequence[Panel]]], *, xlabel: str, ylabel: str, scale: str) -> Figure:
    """Draw each group's maps under its title; rows and columns of a map are numbered from 1, from the lower left.

    All maps have one scale, from 0 to the largest value, rounded up to a tenth.

    Args:
        groups: a title and its panels.
        xlabel: of the columns.
        ylabel: of the rows.
        scale: what the colour says.
    """
    most = max(len(panels) for _, panels in groups)
    columns = most if most <= 5 else min((5, 4, 3), key=lambda count: (-(-most // count), -most % count))
    heights = [-(-len(panels) // columns) for _, panels in groups]
    top = np.ceil(10 * max(values.max() for _, panels in groups for _, values in panels)) / 10
    with mpl.rc_context(STYLE | {"axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        size = (1.6 + 1.6 * max(columns, 3), 0.8 * len(groups) + 1.6 * sum(heights))  # inches
        figure = Figure(figsize=size, layout="constrained")
        parts: Any = figure.subfigures(len(groups), 1, height_ratios=[h + 0.5 for h in heights], squeeze=False)
        for part, height, (title, panels) in zip(parts[:, 0], heights, groups, strict=True):
            part.suptitle(title, fontsize=10, fontweight="bold")
            grid = part.subplots(height, columns, squeeze=False)
            for number, axes in enumerate(grid.flat):
                if number >= len(panels):
                    axes.remove()
                    continue
                mesh = _map(axes, *panels[number], top)
                axes.tick_params(labelleft=number % columns == 0, labelbottom=number + columns >= len(panels))
            part.supxlabel(xlabel, fontsize=10)
            part.supylabel(ylabel, fontsize=10)
            part.colorbar(mesh, ax=list(grid.flat[: len(panels)]), label=scale, aspect=14 * height, pad=0.02)
    return figure


def _map(axes: Axes, title: str, values: np.ndarray, top: float) -> Any:
    rows, columns = values.shape
    drawn = axes.imshow(
        values, origin="lower", aspect="auto", vmin=0, vmax=top, cmap="viridis", interpolation="nearest",
        extent=(0.5, columns + 0.5, 0.5, rows + 0.5),
    )  # fmt: skip
    axes.set_title(title, fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    return drawn
