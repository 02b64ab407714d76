"""The time that inference takes with each method, merged and not, against the base model.

python run.py -m method=lora,adapter,prefix model=minilm dataset=sst2 study=grid     makes runs
python -m experiments.latency outputs/grid                                           times them
python -m analysis.latency outputs/grid                                              draws them
"""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures.command import program
from analysis.figures.figure import COLOURS, STYLE, FigureResult, save_figure
from analysis.studies.side_by_side import sides

QUARTILES = (0.25, 0.5, 0.75)
SHADES = (*COLOURS, "#555555", "#A0A0A0")
MERGED = "////"


def latency(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> FigureResult:
    """Inference time over the base model's in %, by batch and length: medians over turns, whiskers at the quartiles.

    Each turn has timed the base model and the run's in the same fraction of a second, and gives one ratio: what else
    the machine does hits both. Milliseconds are medians of their own. Writes latency.png, .pdf and .csv.

    Source: the form of Hu et al. 2021, arXiv:2106.09685, table 1 (there GPT-2 medium on a GPU).

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `load_records`.
        methods: only these, such as lora adapter; none: all.

    Raises:
        UserError: as `sides`.
    """
    found, notes = sides(studies, "latency", where, methods)
    rows = pd.DataFrame([row for run in found.itertuples() for row in _rows(run)])
    rows = rows.sort_values(["batch", "length"], kind="stable", ignore_index=True)
    figure = _draw(rows)
    paths = save_figure(figure, rows, "latency", Path(studies[0]) / "figures" if out is None else Path(out))
    conditions = dict.fromkeys(f"{run.values['device']}, {run.values['threads']} threads" for run in found["measured"])
    load = max(run.values["load"] for run in found["measured"])
    notes += [f"timed on a busy machine, {load:.1f} processes a core: trust no difference below the spread"] * (
        load > 1
    )
    notes += [f"timed on different machines: {'; '.join(conditions)}"] * (len(conditions) > 1)
    return FigureResult(
        rows=rows,
        table=_table(rows),
        notes=notes,
        paths=paths,
        figure=figure,
        results=tuple(_results(rows, conditions)),
    )


def _rows(run: Any) -> list[dict[str, Any]]:
    """A row for each setting and side of a run; the base is a row of each."""
    measured, rows = run.measured, []
    names = measured.names()
    for name in names:
        setting, _, side = name.partition("/")
        batch, _, length = setting.partition("x")
        times, base = measured.array(name), measured.array(f"{setting}/base")
        alone = side == "merged" and f"{setting}/unmerged" not in names  # full, head, bitfit: nothing to merge
        row = {"side": "base" if side == "base" else run.label, "form": "" if side == "base" or alone else side}
        if side == "unmerged" and f"{setting}/merged" not in names:
            row["form"] = ""  # adapters and prefixes: no other form
        row |= {"batch": int(batch), "length": int(length) or pd.NA, "run_id": run.run_id}
        row["numbers"] = measured.values["numbers"]["trained"]
        for key, values in (("ms", times), ("ratio", times / base)):
            row |= dict(zip((f"{key}_q1", key, f"{key}_q3"), np.quantile(values, QUARTILES), strict=True))
        rows.append({**row, "turns": len(times)})
    return rows


def _names(rows: pd.DataFrame) -> pd.Series:
    return (rows["side"] + ", " + rows["form"]).str.removesuffix(", ")


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """Settings below each other, and for each the sides; the base's milliseconds are the median of its medians."""
    found = []
    for (batch, length), here in rows.groupby(["batch", "length"], dropna=False, sort=False):
        first = {"batch": batch, "length": length}
        base = here[here["side"] == "base"]
        found.append({**first, "model": "base", "trainable parameters": pd.NA, "ms": _ms(base["ms"].median()),
                      "ms, quartiles": _span(_ms(base["ms_q1"].median()), _ms(base["ms_q3"].median())),
                      "over base": "", "quartiles": ""})  # fmt: skip
        for name, row in zip(_names(here), here.itertuples(), strict=True):
            if row.side != "base":
                spread = _span(*(f"{100 * (ratio - 1):+.1f}" for ratio in (row.ratio_q1, row.ratio_q3)))
                found.append({**first, "model": name, "trainable parameters": row.numbers, "ms": _ms(row.ms),
                              "ms, quartiles": _span(_ms(row.ms_q1), _ms(row.ms_q3)),
                              "over base": f"{100 * (row.ratio - 1):+.1f} %", "quartiles": spread})  # fmt: skip
    table = pd.DataFrame(found).astype({"trainable parameters": "Int64", "length": "Int64"})
    return table if table["length"].notna().any() else table.drop(columns="length")


def _span(low: str, high: str) -> str:
    return f"{low} to {high}"


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _results(rows: pd.DataFrame, conditions: dict[str, None]) -> list[str]:
    lines = [f"timed on {'; '.join(conditions)}; medians of {rows['turns'].min()} turns"]
    own = rows[rows["side"] != "base"]
    for name, here in own.groupby(_names(own), sort=False):
        over = 100 * (here["ratio"] - 1)
        lines.append(f"{name}: {over.min():+.1f} to {over.max():+.1f} % over the base model")
    return lines


def _draw(rows: pd.DataFrame) -> Figure:
    own = rows[rows["side"] != "base"].assign(name=_names(rows), length=rows["length"].fillna(0))
    names = list(dict.fromkeys(own["name"]))
    colours = dict(zip(dict.fromkeys(own["side"]), cycle(SHADES), strict=False))
    settings = list(dict.fromkeys(zip(own["batch"], own["length"], strict=True)))
    handles = [Patch(color=colour, label=side) for side, colour in colours.items()]
    if (own["form"] == "merged").any():
        handles.append(Patch(fc="#888888", ec="white", hatch=MERGED, lw=0, label="the same, merged"))
    size = max(6.4, 1.6 + 0.2 * len(names) * len(settings))
    columns = max(1, min(4, int(size / (0.7 + 0.078 * max(len(str(handle.get_label())) for handle in handles)))))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(size, 3.5 + 0.22 * -(-len(handles) // columns)), layout="constrained")
        axes = figure.add_subplot()
        width = 0.82 / len(names)
        for row in own.itertuples():
            at = settings.index((row.batch, row.length)) + (names.index(row.name) - (len(names) - 1) / 2) * width
            low, middle, high = (100 * (ratio - 1) for ratio in (row.ratio_q1, row.ratio, row.ratio_q3))
            axes.bar(at, middle, width * 0.9, color=colours[row.side], ec="white", lw=0,
                     hatch=MERGED if row.form == "merged" else "")  # fmt: skip
            axes.errorbar(at, middle, yerr=[[middle - low], [high - middle]], fmt="none", ecolor="#222222",
                          elinewidth=1, capsize=2)  # fmt: skip
        axes.axhline(0, color="black", lw=1.1)
        axes.annotate("base", (1, 0), (4, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                      va="center", fontsize=9, annotation_clip=False)  # fmt: skip
        axes.set_xticks(range(len(settings)), [f"{b} × {length}" if length else str(b) for b, length in settings])
        text = any(length for _, length in settings)
        axes.set(xlabel="batch × length (tokens)" if text else "batch", ylabel="inference time over base (%)")
        axes.tick_params(axis="x", length=0)
        figure.legend(handles=handles, loc="outside upper center", ncols=columns, handletextpad=0.5, columnspacing=1.6)
    return figure


if __name__ == "__main__":
    program(latency)
