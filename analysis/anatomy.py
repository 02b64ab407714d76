"""The cost of one training step under each method, and the graph of its backward pass.

python run.py -m method=full,lora,adapter,subspace model=vit study=grid     makes runs
python -m experiments.anatomy outputs/grid                                  measures a step of each
python -m analysis.anatomy outputs/grid                                     draws them
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.backward.backward_figure import backward_figure
from analysis.figures.command import program
from analysis.figures.figure import COLOURS, STYLE, FigureResult, save_figure
from analysis.studies.side_by_side import sides
from intrinsic.errors import UserError

FLOPS = {"forward": ("forward", COLOURS[0]), "backward": ("backward", COLOURS[1])}
HELD = {"saved": ("saved activations", COLOURS[4]), "gradients": ("gradients", COLOURS[1]),
        "optimizer": ("optimiser state", COLOURS[3])}  # fmt: skip
PEAK = {"saved": HELD["saved"], "gradients": HELD["gradients"], "working": ("in flight", COLOURS[5])}


def anatomy(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> FigureResult:
    """Bars of a step's FLOPs, of the bytes that it needs, and of its peak; and a graph for each method.

    FLOPs are those of matrix products, without P's. Bytes are of tensors: activations saved for the backward pass,
    gradients of what is trained, state of the optimiser; the peak counts what a step allocates beyond what is there
    before and after it: predicted from the graph (bars) beside the allocator's count (mark). Writes anatomy.png, .pdf
    and .csv, and anatomy_<method>.png, .pdf and .csv of the smallest size of each method.

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `load_records`.
        methods: only these, such as full lora; none: all.

    Raises:
        UserError: as `sides`; the runs were measured on different batches.
    """
    found, notes = sides(studies, "anatomy", where, methods)
    batches = {"×".join(map(str, run.values["batch"])) for run in found["measured"]}
    if len(batches) > 1:
        raise UserError(f"the steps are of batches {' and '.join(sorted(batches))}: measure all with one --batch")
    found = found.iloc[(found["method"] != "full").argsort(kind="stable")]  # the one to compare with on top
    rows = pd.DataFrame([_row(run) for run in found.itertuples()])
    folder = Path(studies[0]) / "figures" if out is None else Path(out)
    figure = _bars(rows, batches.pop())
    paths = save_figure(figure, rows, "anatomy", folder)
    for run in found.drop_duplicates("method").itertuples():
        graph, nodes = backward_figure(run.measured.values["graph"], str(run.label))
        paths += save_figure(graph, nodes, f"anatomy_{re.sub(r'[^a-z0-9]+', '_', run.method)}", folder)
    return FigureResult(
        rows=rows, table=_table(rows), notes=notes, paths=paths, figure=figure, results=tuple(_results(found, rows))
    )


def _row(run: Any) -> dict[str, Any]:
    values = run.measured.values
    row = {"label": run.label, "method": run.method, "rank": run.rank, "dim": run.dim, "run_id": run.run_id}
    row |= {"trained": values["numbers"]["trained"], "batch": "×".join(map(str, values["batch"]))}
    for part in ("flops", "bytes", "peak"):
        row |= {f"{part}_{name}": value for name, value in values[part].items()}
    identities = values["identities"] or {}
    return row | {f"identity_{name}": identities.get(name) for name in ("layers", "dA", "dB")}


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame({"method": rows["label"], "trainable parameters": rows["trained"]})
    table["GFLOP forward"], table["backward"] = rows["flops_forward"] / 1e9, rows["flops_backward"] / 1e9
    for name, column in (("saved", "bytes_saved"), ("gradients", "bytes_gradients"), ("optimiser", "bytes_optimizer"),
                         ("peak, predicted", "peak_predicted"), ("peak, measured", "peak_measured")):  # fmt: skip
        table[f"MB {name}"] = rows[column] / 1e6
    return table


def _results(found: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    off = rows["peak_predicted"] / rows["peak_measured"] - 1
    worst = off.abs().idxmax()
    lines = [f"the predicted peak is off by at most {100 * abs(off[worst]):.2g} % ({rows['label'][worst]})"]
    checked = rows[rows["identity_layers"].notna()]
    if len(checked):
        error = checked[["identity_dA", "identity_dB"]].astype(float).max().max()
        layers = int(checked["identity_layers"].max())
        lines.append(f"dA = s Bᵀ G and dB = s G Aᵀ hold to {error:.1e} (relative, float64) in all {layers} layers")
    full = rows[rows["method"] == "full"]
    for row in rows.itertuples() if len(full) else ():
        if row.method != "full":
            flops = row.flops_backward / full["flops_backward"].iloc[0]
            peak = row.peak_measured / full["peak_measured"].iloc[0]
            lines.append(f"{row.label}: {flops:.2f} of full's backward FLOPs, {peak:.2f} of its peak")
    return lines


def _bars(rows: pd.DataFrame, batch: str) -> Figure:
    """Three panels with a bar for each method."""
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(9.6, 1.75 + 0.36 * len(rows)), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        for axes, parts, column, name, unit in (
            (panels[0], FLOPS, "flops", "operations of a step", "FLOP"),
            (panels[1], HELD, "bytes", "memory by purpose", "B"),
            (panels[2], PEAK, "peak", "peak of a step", "B"),
        ):
            _stack(axes, rows, parts, column, name, unit)
        panels[2].plot(
            rows["peak_measured"] / _scale(rows, PEAK, "peak")[0], range(len(rows)), "|", color="black", ms=15, mew=1.8
        )
        panels[2].plot([], [], "|", color="black", ms=8, mew=1.8, label="measured")
        panels[0].set_yticks(range(len(rows)), rows["label"])
        panels[0].invert_yaxis()
        for axes in panels:
            axes.tick_params(axis="y", length=0)
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, fontsize=8, columnspacing=1.0,
                        handlelength=1.2, handletextpad=0.5, borderaxespad=0.2)  # fmt: skip
        figure.supxlabel(f"one step on a batch of {batch}", fontsize=9)
    return figure


def _stack(axes: Axes, rows: pd.DataFrame, parts: dict[str, Any], column: str, name: str, unit: str) -> None:
    factor, prefix = _scale(rows, parts, column)
    left = np.zeros(len(rows))
    for part, (label, colour) in parts.items():
        values = rows[f"{column}_{part}"].to_numpy(float) / factor
        axes.barh(range(len(rows)), values, left=left, height=0.62, color=colour, label=label)
        left += values
    axes.set_xlabel(f"{name} ({prefix}{unit})")
    full = np.flatnonzero(rows["method"] == "full")
    if len(full):
        axes.axvline(left[full[0]], color="#555555", lw=1, ls=":")


def _scale(rows: pd.DataFrame, parts: dict[str, Any], column: str) -> tuple[float, str]:
    """A power of 1000 that suits the longest bar, and its prefix."""
    longest = rows[[f"{column}_{part}" for part in parts]].sum(axis=1).max()
    return next(((f, p) for f, p in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")) if longest >= f), (1.0, ""))


if __name__ == "__main__":
    program(anatomy)
