"""Draw what few bits guarantee: the bound on the error of quantised subspaces, and their scores, against d.

python run.py -m method=subspace dim=100,300,1000 seed=0,1 study=dims     makes subspaces
python -m experiments.quantize outputs/dims                               measures their bits
python -m analysis.bound outputs/dims                                     draws the bound
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.figures.command import program
from analysis.figures.figure import COLOURS, MARKERS, STYLE, FigureResult, save_figure
from analysis.references.occam_bound import occam_bound
from analysis.studies.config_keys import keys_under
from analysis.studies.estimates import estimates
from analysis.studies.measurement_file import MeasurementFile, measured_runs
from analysis.studies.records import load_records
from analysis.studies.selection import choose_settings
from intrinsic.errors import UserError

PARTS = ("seed", "z", "codebook")


def bound(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    delta: float = 0.05,
    across: Sequence[str] = (),
) -> FigureResult:
    """Draw the accuracy against the bits of (seed, z, codebook), and the bound on the error against d.

    A network that can be sent in few bits cannot have learned the training labels by heart: see
    `analysis.references.occam_bound`, after Lotfi et al. 2022. Of each run the number of levels with the smallest bound
    is drawn against d; choosing it is free, as the bound holds for all at once. Runs of a rate that validation data did
    not choose are left out. A bound that is not below guessing is
    vacuous, and is called so. Where full training has runs, the d90 of the curve is a vertical line. Writes bound.png,
    .pdf and .csv (a row for each run and number of levels).

    Source: Lotfi, Finzi, Kapoor, Potapczynski, Goldblum, Wilson 2022, arXiv:2211.13609.

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `load_records`.
        delta: the probability that a bound fails, in (0, 1).
        across: see `load_records`; curves are named by these keys.

    Raises:
        UserError: as `load_records` and `measured_runs`; delta is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise UserError(f"need 0 < delta < 1, got delta={delta}")
    frame, notes = load_records(studies, where, across=across)
    keys = keys_under(frame, across)
    measured, more = measured_runs(frame[frame["dim"].notna()], "quantize")
    named, _ = choose_settings(measured.assign(x=measured["dim"]), "test", keys)
    if not named["chosen"].all():
        more = [*more, f"runs of settings that validation did not choose, left out: {(~named['chosen']).sum()}"]
    named = named[named["chosen"]].merge(measured[["run_id", "measured", "config"]], on="run_id")
    rows = pd.concat([_levels(run, delta) for run in named.itertuples()], ignore_index=True)
    best = rows.loc[rows.groupby("run_id")["bound"].idxmin()].sort_values(["curve", "dim", "seed"], kind="stable")
    thresholds, said = _thresholds(frame, keys)
    figure = _draw(rows, best, thresholds, delta)
    paths = save_figure(figure, rows, "bound", Path(studies[0]) / "figures" if out is None else Path(out))
    if any(_is_trained(flat) for flat in named["config"]):
        said.append("θ₀ was trained on other data: the bound holds if no training example of this task was among them")
    return FigureResult(
        rows=rows,
        table=_table(best),
        notes=[*notes, *more, *said],
        results=_results(best),
        paths=paths,
        figure=figure,
    )


def _is_trained(flat: dict[str, Any]) -> bool:
    """Whether theta_0 was trained on something: a source task, or a model of the hub."""
    return flat.get("init.source") == "hub" or any(key.startswith("init.source.") for key in flat)


def _levels(run: Any, delta: float) -> pd.DataFrame:
    """A row for each number of levels of a run."""
    file: MeasurementFile = run.measured
    found = pd.DataFrame({"levels": file.array("levels")})
    for part in PARTS:
        found[f"bits_{part}"] = file.array(f"bits/{part}")
    found["bits"] = found[[f"bits_{part}" for part in PARTS]].sum(axis=1)
    found["train"], found["test"] = file.array("train"), file.array("test")
    count = file.values["examples"]
    found["bound"] = [
        occam_bound(1 - accuracy, bits, count, delta=delta)
        for accuracy, bits in zip(found["train"], found["bits"], strict=True)
    ]
    labels = {"curve": run.curve, "dim": int(run.dim), "seed": run.seed, "exact_test": file.values["exact"]["test"]}
    return found.assign(**labels, guess=1 - file.values["guess"]["accuracy"], run_id=run.run_id)


def _thresholds(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """The d90 of each curve that has one, and a note on what is missing."""
    full = frame["method"] == "full"
    if not full.any():
        return {}, ["no d90: no run of full has finished; `python run.py method=full` makes one"]
    runs = frame[full | frame["dim"].notna()]
    _, _, found = estimates(runs, axis="dim", split="test", across=keys)
    known = {each.curve: each.threshold for each in found if each.threshold is not None}
    return {curve: each.value for curve, each in known.items() if each.censored is None}, []


def _draw(rows: pd.DataFrame, best: pd.DataFrame, thresholds: dict[str, float], delta: float) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, (curve, here) in enumerate(best.groupby("curve", sort=False)):
            look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
            _bits(left, rows[rows["curve"] == curve], look)
            means = here.groupby("dim")[["bound", "train", "test"]].mean()
            for name, values, dashes in (
                ("bound", means["bound"], "-"), ("on test data", 1 - means["test"], "--"),
                ("on training data", 1 - means["train"], ":"),
            ):  # fmt: skip
                label = f"{curve}: {name}" if best["curve"].nunique() > 1 else name
                right.plot(means.index, values, **(look | ({} if dashes == "-" else {"marker": ""})), ls=dashes, lw=1.6,
                           ms=5, label=label)  # fmt: skip
            right.plot(
                here["dim"], here["bound"], color=look["color"], marker=look["marker"], ls="none", ms=3, alpha=0.5
            )
            if curve in thresholds:
                right.axvline(thresholds[str(curve)], color=look["color"], lw=1.0)
                right.annotate(
                    " d90", (thresholds[str(curve)], 0.02), xycoords=right.get_xaxis_transform(), color=look["color"]
                )
        right.axhline(best["guess"].mean(), color="black", lw=1.0, ls="--", label="guessing", zorder=1.5)
        left.set(xscale="log", xlabel="bits of seed, z and codebook", ylabel="test accuracy")
        right.set(xscale="log", xlabel="subspace dimension d", ylabel=f"error; bound with probability {1 - delta:g}")
        right.set_ylim(0, 1.03)
        for axes in (left, right):
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _bits(axes: Axes, rows: pd.DataFrame, look: dict[str, Any]) -> None:
    """A line for each run over its numbers of levels: the smaller d, the further left."""
    for _, run in rows.groupby("run_id", sort=False):
        axes.plot(run["bits"], run["test"], color=look["color"], lw=0.9, marker=look["marker"], ms=3, mew=0, alpha=0.8)
    for dim, run in rows.groupby("dim"):
        most = run.loc[run["bits"].idxmax()]
        axes.annotate(f"{dim}", (most["bits"], most["test"]), (5, -3), textcoords="offset points", fontsize=8)


def _table(best: pd.DataFrame) -> pd.DataFrame:
    """The smallest bound of each run."""
    return pd.DataFrame({
        "curve": best["curve"],
        "d": best["dim"],
        "seed": best["seed"],
        "levels": best["levels"],
        "bits": [f"{bits:,}" for bits in best["bits"]],
        "of seed, z, codebook": best[[f"bits_{part}" for part in PARTS]].astype(str).agg(" + ".join, axis=1),
        "train error": [f"{1 - score:.3f}" for score in best["train"]],
        "test error": [f"{1 - score:.3f}" for score in best["test"]],
        "unquantised": [f"{1 - score:.3f}" for score in best["exact_test"]],
        "bound": [f"{value:.3f}" for value in best["bound"]],
    })  # fmt: skip


def _results(best: pd.DataFrame) -> tuple[str, ...]:
    """The best bound of each curve, and whether it says anything."""
    lines = []
    for curve, here in best.groupby("curve", sort=False):
        run = here.loc[here["bound"].idxmin()]
        said = f"{curve}: error <= {run['bound']:.3f} at d = {run['dim']}, of {run['bits']:,} bits"
        lines.append(said + f"; vacuous: guessing has {run['guess']:.3f}" * bool(run["bound"] >= run["guess"]))
    return tuple(lines)


if __name__ == "__main__":
    program(bound)
