"""The threshold against a choice of training: is d90 a property of the landscape or of the recipe?

python run.py experiment=effort/rate optim.lr=0.01,0.03,0.1,0.3             makes the runs
python -m analysis.effort outputs/effort_rate --across optim.lr             draws d90 against the learning rate

python -m analysis.effort outputs/effort_optimiser --across optim._target_ --across optim.momentum
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from analysis.figures.bounds import draw_bounds
from analysis.figures.command import program
from analysis.figures.figure import COLOURS, LABEL, MARKERS, STYLE, FigureResult, save_figure
from analysis.figures.footer import footer
from analysis.studies.config_keys import keys_under, value_text
from analysis.studies.differences import differences, differences_table
from analysis.studies.efforts import effort_lines, efforts
from analysis.studies.estimates import AXES, estimates, incomplete
from analysis.studies.fallen import fallen
from analysis.studies.floor import Floor, without_start
from analysis.studies.plain import plain
from analysis.studies.records import load_records
from analysis.studies.selection import entry
from intrinsic.errors import UserError


def effort(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    epoch: str = "last",
    metric: str | None = None,
    where: Sequence[str] = (),
    axis: str = "dim",
    fraction: float = 0.9,
    floor: str | float = "none",
    estimator: str = "auto",
    estimand: str = "mean",
    confidence: float = 0.95,
    across: Sequence[str] = (),
) -> FigureResult:
    """Draw the threshold with its interval for each value of the keys `across`, a line for each method.

    A triangle is a bound: the answer lies beyond the tried sizes. A 0 at the edge stands where the start, before any
    training, reaches the target. Every two of a method are compared by their ratio.
    Writes effort.png, .pdf and .csv.

    Args:
        studies: folders of runs, the baseline among them (method full, several seeds).
        out: folder of the files.
        split: the split that is reported, `test`, `validation` or `train`.
        epoch: `last`, or `best` for each run's best epoch on validation data.
        metric: see `analysis.studies.records.load_records`.
        where: `key=value` filters on the config.
        axis: the size: an integer knob of the runs, or `trained` for the count of trainable parameters.
        fraction: of the baseline, in (0, 1).
        floor: see `analysis.threshold`.
        estimator: see `intrinsic.estimate_threshold`, as for estimand and confidence.
        estimand: `mean` or `success`.
        confidence: of the interval.
        across: the keys of the choice, such as optim.lr; where baselines differ in them, each value has its own.

    Raises:
        UserError: as `analysis.threshold`; without `across`, or where the keys have one value.
    """
    frame, notes = load_records(studies, where, split, epoch, across=across, metric=metric)
    if not across:
        raise UserError("need --across KEY with the choice that d90 is drawn against, such as --across optim.lr")
    keys = keys_under(frame, across)
    asked = Floor.of(floor, None, "--floor")
    options: dict[str, Any] = {"fraction": fraction, "floor": floor, "estimator": estimator, "estimand": estimand}
    runs, _, found = estimates(frame, axis=axis, split=split, across=keys, confidence=confidence, **options)
    notes += [*fallen(found, axis), *without_start(runs)]
    problem = incomplete(found, axis)
    if problem is not None:
        raise UserError(f"{', '.join(map(str, studies))}: {problem}")
    configs = frame.set_index("run_id")["config"]
    rows = []
    for each in found:
        assert each.threshold is not None
        flat = configs[runs[runs["curve"] == each.curve]["run_id"].iloc[0]]
        said = {entry(key, flat) for key in keys}
        method = ", ".join(part for part in each.curve.split(", ") if part not in said)
        rows.append(
            {"method": method, "choice": _choice(keys, flat), "curve": each.curve}
            | each.threshold.to_dict()
            | {"smallest": min(each.dims), "largest": max(each.dims), "runs": len(each.dims)}
        )
    table = pd.DataFrame(rows)
    if table["choice"].nunique() < 2:
        raise UserError(f"need two values of {' and '.join(across)} for a comparison, got {table['choice'].iloc[0]}")
    table = table.sort_values("choice", key=lambda choices: choices.map(_order), kind="stable", ignore_index=True)
    found.sort(key=lambda each: list(table["curve"]).index(each.curve))
    several = table["method"].nunique() > 1
    names = {row.curve: f"{row.method}, {row.choice}" if several else row.choice for row in table.itertuples()}
    spent = efforts(runs.assign(curve=runs["curve"].replace(names)), frame)
    places = {name: place for place, name in enumerate(names.values())}
    lines = effort_lines(sorted(spent, key=lambda each: places.get(each.curve, -1)))  # in the order of the axis
    figure = _figure(table, f"{100 * fraction:g} % of full{asked.above}", AXES.get(axis, axis), ", ".join(across))
    footer(figure, lines)
    paths = save_figure(figure, table, "effort", Path(studies[0]) / "figures" if out is None else Path(out))
    methods = dict(zip(table["curve"], table["method"], strict=True))
    alike = [[each for each in found if methods[each.curve] == method] for method in dict.fromkeys(table["method"])]
    return FigureResult(
        rows=table,
        table=table[["method", "choice", "runs", "baseline", "target"]],
        more=tuple(differences_table(differences(choices)) for choices in alike if len(choices) > 1),
        results=tuple(f"{each.curve}: {each.threshold}" for each in found),
        effort=lines,
        notes=notes,
        paths=paths,
        figure=figure,
    )


def _choice(keys: Sequence[str], flat: dict[str, Any]) -> str:
    """`0.03`, `Adam`; of several keys `SGD, momentum=0.9`: a class by its name, without the keys that it lacks."""
    there = sorted((key for key in keys if key in flat), key=lambda key: not key.endswith("_target_"))
    said = []
    for key in there:
        value, name = value_text(flat[key]), key.rpartition(".")[2]
        is_class = name == "_target_"
        said.append(value.rpartition(".")[2] if is_class else value if len(keys) == 1 else f"{name}={value}")
    return ", ".join(said) or "none"


def _order(choice: str) -> tuple[int, float, str]:
    """Numbers by size, before words."""
    try:
        return 0, float(choice), ""
    except ValueError:
        return 1, 0.0, choice


def _figure(table: pd.DataFrame, target: str, size: str, label: str) -> Figure:
    choices = list(dict.fromkeys(table["choice"]))
    numbers = [_order(choice)[1] for choice in choices]
    scaled = all(_order(choice)[0] == 0 and 0 < _order(choice)[1] < float("inf") for choice in choices)
    at = dict(zip(choices, numbers if scaled else range(len(choices)), strict=True))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot(xscale="log" if scaled else "linear", yscale="log")
        handles = []
        for k, (method, here) in enumerate(table.groupby("method", sort=False)):
            colour = COLOURS[k % len(COLOURS)]
            known = here[here["censored"].isna()]
            value = known["value"].astype(float)
            low = known["low"].astype(float).fillna(known["smallest"].astype(float))
            high = known["high"].astype(float).fillna(known["largest"].astype(float))
            x = known["choice"].map(at).to_numpy(float)
            handles.append(axes.errorbar(
                x, value, yerr=[(value - low).clip(lower=0), (high - value).clip(lower=0)], color=colour,
                marker=MARKERS[k % len(MARKERS)], ms=6, mec="white", mew=0.8, lw=1.5 if scaled else 0, elinewidth=1.3,
                capsize=3, label=plain(str(method), LABEL),
            ))  # fmt: skip
            draw_bounds(axes, here["choice"].map(at).to_numpy(float), here, k, color=colour, ms=8)
        axes.xaxis.set_major_locator(FixedLocator(list(map(float, at.values()))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(list(map(float, at.values())), [plain(choice, 40).replace(", ", "\n") for choice in choices])
        if not scaled:
            axes.set_xlim(-0.5, len(choices) - 0.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0), numticks=99))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel=plain(label, LABEL), ylabel=f"{size} for {target}")
        if len(handles) > 1:
            figure.legend(handles=handles, loc="outside upper center", ncols=2, handletextpad=0.5)
    return figure


if __name__ == "__main__":
    program(effort)
