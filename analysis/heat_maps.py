"""Draw rows of heat maps with one colour scale from 0 to 1."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figure import STYLE

Panel = tuple[str, np.ndarray]  # a title, and values in [0, 1]: row i is at height i + 1


def heat_maps(
    groups: Sequence[tuple[str, Sequence[Panel]]], *, xlabel: str, ylabel: str, scale: str, columns: int = 4
) -> Figure:
    """Draw each group's maps under its title, (rows, columns) of a map numbered from 1, from the lower left.

    Args:
        groups: a title and its panels.
        xlabel: of the lowest maps of each column.
        ylabel: of the leftmost maps.
        scale: what the colour says.
        columns: of maps, at most.
    """
    columns = min(columns, max(len(panels) for _, panels in groups))
    heights = [-(-len(panels) // columns) for _, panels in groups]
    with mpl.rc_context(STYLE | {"axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        figure = Figure(figsize=(1.2 + 1.75 * columns, 0.6 * len(groups) + 1.75 * sum(heights)), layout="constrained")
        parts: Any = figure.subfigures(len(groups), 1, height_ratios=[h + 0.35 for h in heights], squeeze=False)
        for part, height, (title, panels) in zip(parts[:, 0], heights, groups, strict=True):
            part.suptitle(title, fontsize=10, fontweight="bold")
            grid = part.subplots(height, columns, squeeze=False)
            for number, axes in enumerate(grid.flat):
                if number >= len(panels):
                    axes.remove()
                    continue
                mesh = _map(axes, *panels[number])
                if number % columns == 0:
                    axes.set_ylabel(ylabel)
                if number + columns >= len(panels):
                    axes.set_xlabel(xlabel)
            part.colorbar(mesh, ax=grid, label=scale, aspect=14 * height, pad=0.02)
    return figure


def _map(axes: Axes, title: str, values: np.ndarray) -> Any:
    rows, columns = values.shape
    drawn = axes.imshow(
        values, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest",
        extent=(0.5, columns + 0.5, 0.5, rows + 0.5),
    )  # fmt: skip
    axes.set_title(title, fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    return drawn
