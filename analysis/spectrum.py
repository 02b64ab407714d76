"""The singular values of what training changed, and which directions of the trained weights are new.

python run.py -m rank=1,2,4,8 study=inside                 makes LoRA's runs
python run.py -m method=full,subspace study=inside         makes others
python -m experiments.updates outputs/inside               measures their updates
python -m analysis.spectrum outputs/inside                 draws them
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.special import ndtri

from analysis.figures.command import program
from analysis.figures.figure import COLOURS, STYLE, FigureResult, save_figure
from analysis.figures.panels import panels, powers
from analysis.figures.powers_of_ten import powers_of_ten
from analysis.references.marchenko_pastur import marchenko_pastur
from analysis.studies.moved_weights import moved_weights
from intrinsic.errors import UserError

ORIGIN = "W₀"
VALUES, RANDOM, RESEMBLANCE = "singular value", "singular value, random", "largest |cosine| to W₀'s"
MEASURES = ("effective rank", "effective rank, random", "stable rank", "energy at k", "intruders")


def spectrum(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    k: int = 10,
    epsilon: float = 0.5,
    weights: Sequence[str] = (),
    per: Literal["type", "weight"] = "type",
) -> FigureResult:
    """Draw the singular values of dW and of W_0, and of each left singular vector of W_0 + dW what it resembles in W_0.

    Of each method the run of the largest size is drawn; table and CSV have all. Values below rounding are left out.
    The null of a spectrum is that of a Gaussian matrix of the same shape and norm (see `marchenko_pastur`), which the
    dW of a random subspace follows. With p_j = sigma_j / sum(sigma):

    - effective rank: exp(-sum p_j log p_j); stable rank: ||dW||_F^2 / sigma_1^2;
    - energy at k: the sum of the k largest sigma^2, of the sum of all;
    - intruder dimensions: how many of the k leading left singular vectors of W_0 + dW have a |cosine| below epsilon
      with each of the min(m, n) left singular vectors of W_0.

    Geometric means of the values, means of the rest, over seeds and layers. Writes spectrum.png, .pdf and .csv, which
    is in long form: a row for each weight, run, quantity and j.

    Source: Roy & Vetterli 2007, The effective rank; Shuttleworth et al. 2024, arXiv:2410.21228, algorithm 1.

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `analysis.studies.records.load_records`.
        k: how many directions are counted in the energy, and looked at for intruders.
        epsilon: the |cosine| below which a direction is an intruder.
        weights: parts of names such as query, layer.0 or layer.*.output.dense (default: what has moved in every run).
        per: a panel for each type of weight, the mean of its layers, or for each weight.

    Raises:
        UserError: as `moved_weights`; k is below 1 or beyond what was measured; epsilon is not in (0, 1].
    """
    if not 0 < epsilon <= 1:
        raise UserError(f"need 0 < epsilon <= 1, got epsilon={epsilon}")
    table, notes = moved_weights(studies, where, weights, per)
    most = min(len(weight["resemblance"]) for weight in table["weight"])
    if not 0 < k <= most:
        raise UserError(f"need 0 < k <= {most}, the directions that were measured, got k={k}")
    rows = pd.concat(_quantities(table, k, epsilon), ignore_index=True)
    shapes = {str(label): weight.shape for label, weight in zip(table["label"], table["weight"], strict=True)}
    figure = _draw(rows, _largest(table), shapes, k, epsilon)
    paths = save_figure(figure, rows, "spectrum", Path(studies[0]) / "figures" if out is None else Path(out))
    shown = _table(table, rows, k)
    results = [
        f"{run['run']}: effective rank {run['effective rank']:.1f}, random {run['of random']:.1f}; "
        f"{run['intruders']:.1f} of the {k} leading directions are new"
        for _, run in shown.iterrows() if run["run"] in _largest(table)
    ]  # fmt: skip
    return FigureResult(rows=rows, table=shown, notes=notes, paths=paths, figure=figure, results=tuple(results))


def effective_rank(values: np.ndarray) -> float:
    """exp of the entropy of sigma / sum(sigma), in [1, number of values above 0]."""
    p = values[values > 0] / values.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def stable_rank(values: np.ndarray) -> float:
    """||.||_F^2 / sigma_1^2, in [1, rank]."""
    return float((values**2).sum() / values[0] ** 2)


def energy(values: np.ndarray, k: int) -> float:
    """The share of the k largest in the sum of sigma^2, in [0, 1]."""
    return float((values[:k] ** 2).sum() / (values**2).sum())


def resemblance_of_random(shape: tuple[int, int]) -> float:
    """The median of the largest |cosine| of a random direction in R^m with p = min(m, n) orthonormal vectors.

    Each cosine is N(0, 1 / m), nearly, and they are nearly independent: 2 Phi(c sqrt(m)) - 1 = 0.5^(1 / p).
    """
    return float(ndtri((1 + 0.5 ** (1 / min(shape))) / 2) / np.sqrt(shape[0]))


def _quantities(table: pd.DataFrame, k: int, epsilon: float) -> list[pd.DataFrame]:
    """One frame for each label and run, W_0 among them, in long form."""
    found = []
    for label, of_label in table.groupby("label", sort=False):
        origin = of_label.drop_duplicates(["name", "seed"])
        runs = [(ORIGIN, [(row.weight, row.weight["origin_values"]) for row in origin.itertuples()])]
        for run, here in of_label.groupby("run", sort=False):
            runs.append((run, [(w, w["values"][: w.rank]) for w in here["weight"]]))
        for run, measured in runs:
            count = min(len(values) for _, values in measured)
            nulls = [marchenko_pastur(weight.shape, float(np.linalg.norm(values))) for weight, values in measured]
            logs = [np.log(np.maximum(values[:count], np.finfo(float).tiny)) for _, values in measured]
            series = {VALUES: np.exp(np.mean(logs, axis=0)), RANDOM: np.exp(np.log(nulls).mean(0))}
            numbers = {
                "effective rank": np.mean([effective_rank(values) for _, values in measured]),
                "effective rank, random": np.mean([effective_rank(values) for values in nulls]),
                "stable rank": np.mean([stable_rank(values) for _, values in measured]),
                "energy at k": np.mean([energy(values, k) for _, values in measured]),
            }
            if run != ORIGIN:
                resemblance = [weight["resemblance"] for weight, _ in measured]
                series[RESEMBLANCE] = np.mean(resemblance, axis=0)
                numbers["intruders"] = np.mean([(values[:k] < epsilon).sum() for values in resemblance])
            frames = [
                pd.DataFrame({"quantity": name, "j": np.arange(len(x)) + 1, "value": x}) for name, x in series.items()
            ]
            frames += [pd.DataFrame({"quantity": name, "j": pd.NA, "value": [x]}) for name, x in numbers.items()]
            first = {"weights": label, "run": run, "measured": len(measured)}
            found.append(pd.concat([frame.astype({"j": "Int64"}) for frame in frames]).assign(**first))
    return [frame[["weights", "run", "measured", "quantity", "j", "value"]] for frame in found]


def _largest(table: pd.DataFrame) -> list[str]:
    """The run of the largest size of each curve."""
    return [here.sort_values("x")["run"].iloc[-1] for _, here in table.groupby("curve", sort=False)]


def _table(table: pd.DataFrame, rows: pd.DataFrame, k: int) -> pd.DataFrame:
    """A row for each run: means over all its weights."""
    numbers = rows[rows["quantity"].isin(MEASURES)]
    weighted = numbers.assign(value=numbers["value"] * numbers["measured"])
    sums = weighted.groupby(["run", "quantity"], sort=False)[["value", "measured"]].sum()
    found = (sums["value"] / sums["measured"]).unstack("quantity")
    found = found.loc[[ORIGIN, *table["run"].unique()], list(MEASURES)].reset_index()
    found = found.rename_axis(columns=None)
    return found.rename(columns={"effective rank, random": "of random", "energy at k": f"energy at {k}"})


def _draw(
    rows: pd.DataFrame, runs: Sequence[str], shapes: dict[str, tuple[int, int]], k: int, epsilon: float
) -> Figure:
    with mpl.rc_context(STYLE):
        figure, grid = panels([VALUES, RESEMBLANCE], list(shapes), named=True)
        for (quantity, label), axes in grid.items():
            for number, run in enumerate([ORIGIN, *runs]):
                here = rows[(rows["weights"] == label) & (rows["run"] == run)].set_index("quantity")
                colour = "black" if run == ORIGIN else COLOURS[(number - 1) % len(COLOURS)]
                if quantity in here.index:
                    _line(axes, here.loc[[quantity]], color=colour, label=run, lw=1.4)
                if quantity == VALUES and "r=" not in run:
                    _line(axes, here.loc[[RANDOM]], color=colour, ls=":", lw=1)
            axes.set_xscale("log", base=2)
            powers(axes.xaxis, 1, rows["j"].max())
            if quantity == VALUES:
                axes.set_yscale("log")
                powers_of_ten(axes.yaxis)
            else:
                axes.axhline(resemblance_of_random(shapes[label]), color="black", ls=":", lw=1)
                axes.axhline(epsilon, color="#777777", ls="--", lw=1)
                axes.axvline(k, color="#777777", ls="--", lw=1)
                axes.set_ylim(0, 1.03)
        figure.supxlabel("j, in falling order", fontsize=10)
        handles, labels = next(iter(grid.values())).get_legend_handles_labels()
        handles += [Line2D([], [], color="black", ls=":", lw=1), Line2D([], [], color="#777777", ls="--", lw=1)]
        labels += ["random", f"intruder: below {epsilon:g}, j ≤ {k}"]
        figure.legend(handles, labels, loc="outside upper center", ncols=3, columnspacing=1.2)
    return figure


def _line(axes: Axes, rows: pd.DataFrame, **look: Any) -> None:
    alone: dict[str, Any] = {"marker": "o", "ms": 4} if len(rows) == 1 else {}
    axes.plot(rows["j"].to_numpy(float), rows["value"].to_numpy(float), **alone, **look)


if __name__ == "__main__":
    program(spectrum)
