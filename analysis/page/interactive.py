"""The interactive curves: a Bokeh plot of every finished run, as JSON that BokehJS draws."""

from typing import Any

import pandas as pd

from analysis.figures.figure import COLOURS
from analysis.studies.config_keys import value_text

SHAPES = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star", "plus")  # as many as MARKERS
OUTLINES = (  # the same in a square of 10, for the page's legend
    "M5 1A4 4 0 1 1 5 9A4 4 0 1 1 5 1Z",
    "M1 1H9V9H1Z",
    "M5 1L9.6 9H.4Z",
    "M5 0L8.4 5L5 10L1.6 5Z",
    "M5 9L.4 1H9.6Z",
    "M5 0L6.5 3.4L10 3.8L7.4 6.2L8.1 10L5 8L1.9 10L2.6 6.2L0 3.8L3.5 3.4Z",
    "M3.6 0H6.4V3.6H10V6.4H6.4V10H3.6V6.4H0V3.6H3.6Z",
)
DECADES: dict[Any, Any] = {10**k: f"{10 ** (k % 3)}{unit}" for k in range(3, 12) for unit in [" kMG"[k // 3]]}
UNCHOSEN = 0.25  # opacity of runs at settings that validation did not choose
HOVER = (  # BokehJS escapes what it puts in
    '<div style="color: #1c1e21; font: 13px/1.5 system-ui, sans-serif"><b>@curve</b>, @size<br>seed @seed, @setting<br>'
    "validation @validation, test @test<br>run @run</div>"
)


def interactive(rows: pd.DataFrame, *, xlabel: str, ylabel: str, target: str) -> tuple[dict[str, Any], list[list[str]]]:
    """Plot the score against `x`: a point a run, pale where validation chose another setting; a line through the means.

    Args:
        rows: of a figure of curves, see `analysis.studies.selection.choose_settings`.
        xlabel: label of the x axis, which is logarithmic.
        ylabel: label of the y axis.
        target: id of the page's element to draw in; the renderers of curve k are named `<target>-k`.

    Returns:
        What `Bokeh.embed.embed_item` takes; and name, colour and outline of the marker of each curve.
    """
    from bokeh.embed import json_item
    from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
    from bokeh.models.renderers import DataRenderer
    from bokeh.plotting import figure

    plot = figure(
        height=400, sizing_mode="stretch_width", x_axis_type="log", x_axis_label=xlabel, y_axis_label=ylabel,
        tools="pan,wheel_zoom,box_zoom,reset", active_drag=None, active_scroll=None, toolbar_location="above",
        min_border_right=16,
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.xaxis.major_label_overrides = DECADES
    plot.axis.axis_label_text_font_style = "normal"
    plot.xgrid.visible = False
    finished = rows[rows["score"].notna() & rows["x"].notna()]
    names: list[list[str]] = []
    hovered: list[DataRenderer] = []
    for number, (curve, runs) in enumerate(finished.groupby("curve", sort=False)):
        colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
        mean = runs[runs["chosen"]].groupby("x")["score"].mean()
        line = plot.line(mean.index.to_numpy(float), mean.to_numpy(float), color=colour, line_width=2)
        data = ColumnDataSource({key: list(column) for key, column in _shown(runs).items()})
        points = plot.scatter(
            "x", "y", source=data, size=9, color=colour, alpha="alpha", line_color=None, marker=shape,
            hover_alpha=1.0, hover_color=colour,
        )  # fmt: skip
        line.name = points.name = f"{target}-{number}"
        names.append([str(curve), colour, OUTLINES[number % len(SHAPES)]])
        hovered.append(points)
    plot.add_tools(HoverTool(renderers=hovered, tooltips=HOVER, point_policy="snap_to_data"))
    item: dict[str, Any] = dict(json_item(plot, target))  # type: ignore[arg-type]
    return item, names


def _shown(runs: pd.DataFrame) -> dict[str, Any]:
    """What a point is and says; text, so that nothing is left to formatters."""
    sizes = [
        ", ".join(f"{name} {run[name]}" for name in ("rank", "dim") if pd.notna(run[name])) or "-"
        for run in runs.to_dict("records")
    ]
    return {
        "x": runs["x"].astype(float),
        "y": runs["score"].astype(float),
        "alpha": [1.0 if chosen else UNCHOSEN for chosen in runs["chosen"]],
        "run": runs["run_id"],
        "curve": runs["curve"],
        "size": [f"{size} ({trained:,} parameters)" for size, trained in zip(sizes, runs["trained"], strict=True)],
        "seed": [value_text(int(seed)) for seed in runs["seed"]],
        "setting": runs["setting"],
        "validation": [f"{score:.4f}" for score in runs["validation_score"]],
        "test": [f"{score:.4f}" for score in runs["score"]],
    }
