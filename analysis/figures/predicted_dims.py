"""The figure of dimensions that are predicted and measured, against the loss that they reach."""

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis.figures.figure import COLOURS, STYLE

LARSEN, QUADRATIC = "d* of Larsen et al.", "threshold of the quadratic"
TRAINED, TARGET, MEASURED = "subspaces, trained", "target", "measured threshold"


def draw_predicted_dims(rows: pd.DataFrame, percent: str, split: str) -> Figure:
    """Draw a panel for each network, losses and dimensions on log scales.

    Args:
        rows: network, series (one of the above), loss, dim; low and high of a measured threshold.
        percent: of the score that the threshold is of.
        split: whose loss it is.
    """
    networks = list(dict.fromkeys(rows["network"]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4 if len(networks) == 1 else 1.2 + 3.4 * len(networks), 4.2), layout="constrained")
        panels = figure.subplots(1, len(networks), squeeze=False, sharey=True)[0]
        for axes, network in zip(panels, networks, strict=True):
            _panel(axes, rows[rows["network"] == network], percent)
            axes.set(xlabel=f"{split} loss", xscale="log", yscale="log", title=network if len(networks) > 1 else "")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
                axis.set_minor_formatter(NullFormatter())
        panels[0].set_ylabel("subspace dimension d")
        panels[0].set_ylim(bottom=max(1.0, panels[0].get_ylim()[0]))
        handles = {handle.get_label(): handle for axes in panels for handle in axes.get_legend_handles_labels()[0]}
        figure.legend(handles=list(handles.values()), loc="outside upper center", ncols=2)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, percent: str) -> None:
    parts = {series: rows[rows["series"] == series].sort_values("loss") for series in rows["series"].unique()}
    for series, colour, dashes in ((LARSEN, COLOURS[0], "-"), (QUADRATIC, COLOURS[2], "--")):
        if series in parts:
            drawn = parts[series][parts[series]["dim"] > 0]
            axes.plot(drawn["loss"], drawn["dim"], color=colour, ls=dashes, lw=1.6, label=series)
    if TRAINED in parts:
        drawn = parts[TRAINED]
        axes.plot(drawn["loss"], drawn["dim"], "o", color=COLOURS[1], ms=5, mew=0, alpha=0.7, label=TRAINED)
    for _, mark in parts.get(TARGET, pd.DataFrame()).iterrows():
        axes.axvline(mark["loss"], color="black", lw=1.0, ls=":", label=f"loss at {percent} of full training's score")
    for _, mark in parts.get(MEASURED, pd.DataFrame()).iterrows():
        axes.axhline(mark["dim"], color=COLOURS[1], lw=1.0, label=f"measured threshold at {percent}")
        if pd.notna(mark["low"]) and pd.notna(mark["high"]):
            axes.axhspan(mark["low"], mark["high"], color=COLOURS[1], alpha=0.15, lw=0)
