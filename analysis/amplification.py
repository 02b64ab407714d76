"""The part of W_0 that lies in the directions in which training moved it: does the update repeat what W_0 has?

python run.py -m rank=1,2,4,8 study=inside                 makes LoRA's runs
python run.py -m method=full,subspace study=inside         makes others
python -m experiments.updates outputs/inside               measures their updates
python -m analysis.amplification outputs/inside            draws them
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.command import program
from analysis.figures.figure import COLOURS, STYLE, FigureResult, save_figure
from analysis.figures.panels import panels, powers
from analysis.figures.powers_of_ten import powers_of_ten
from analysis.studies.moved_weights import moved_weights
from analysis.studies.weight import Weight
from intrinsic.errors import UserError

LOOKS: dict[str, dict[str, Any]] = {
    "update": {"label": "U, V of ΔW", "color": COLOURS[0], "marker": "o"},
    "origin": {"label": "of W₀", "color": COLOURS[1], "marker": "s"},
    "random": {"label": "random", "color": COLOURS[2], "marker": "^", "ls": "none"},
    "expected": {"label": "expected of random", "color": "black", "ls": ":"},
}
HEADINGS = {
    "norm_update": "‖ΔW‖", "norm_origin": "‖W₀‖", "within_update": "‖UᵀW₀V‖ of ΔW", "within_origin": "of W₀",
    "within_random": "of random", "within_expected": "expected", "factor_update": "factor",
    "factor_expected": "of random",
}  # fmt: skip


def amplification(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    weights: Sequence[str] = (),
    per: Literal["type", "weight"] = "type",
) -> FigureResult:
    """Draw the amplification factor ||dW||_F / ||U^T W_0 V||_F, U and V the r leading singular vectors of a matrix.

    Those of dW: a factor far above the one of W_0 itself means that training moved W_0 where it has little. Those of
    W_0: ||U^T W_0 V||_F^2 is the sum of its r largest sigma^2, no factor is smaller. Random ones, and their null: as
    E U U^T = (r / m) I for orthonormal U (m, r), E ||U^T W_0 V||_F^2 = r^2 ||W_0||_F^2 / (m n) for W_0 (m, n).

    r is the rank of a run that has one; of other runs it is each power of two up to what was measured. Norms are
    quadratic means over seeds and layers. Writes amplification.png, .pdf and .csv, a row for each weight, run and r.

    Source: Hu et al. 2021, LoRA, arXiv:2106.09685, section 7.3 and table 7.

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `analysis.studies.records.load_records`.
        weights: parts of names such as query, layer.0 or layer.*.output.dense (default: what has moved in every run).
        per: a panel for each type of weight, the mean of its layers, or for each weight.

    Raises:
        UserError: as `moved_weights`; the folder cannot be written to.
    """
    table, notes = moved_weights(studies, where, weights, per)
    rows = pd.DataFrame([
        {"method": row.curve, "run": row.run, "weights": row.label, "name": row.name, "seed": row.seed, **found}
        for _, here in table.groupby(["label", "run"], sort=False) for row in here.itertuples(index=False)
        for found in norms(row.weight, _counts(here))
    ])  # fmt: skip
    rows = _with_factors(rows)
    means = _means(rows)
    figure = _draw(means)
    paths = save_figure(figure, rows, "amplification", Path(studies[0]) / "figures" if out is None else Path(out))
    last = means.groupby(["weights", "run"], sort=False).tail(1)  # of each run its largest r
    shown = last[["weights", "run", "r", *HEADINGS]].rename(columns=HEADINGS)
    results = tuple(
        f"{method}, r = {here['r'].iloc[-1]}: {here['factor_update'].mean():.3g} in the directions of ΔW, "
        f"{here['factor_origin'].mean():.3g} in those of W₀, {here['factor_expected'].mean():.3g} in random ones"
        for method, here in last[last["r"] == last.groupby("method")["r"].transform("max")].groupby("method")
    )
    return FigureResult(rows=rows, table=shown, notes=notes, paths=paths, figure=figure, results=results)


def norms(weight: Weight, counts: Sequence[int]) -> list[dict[str, float]]:
    """For each r: the Frobenius norms of dW, of W_0, and of U^T W_0 V, U and V of dW, of W_0 and random.

    Raises:
        UserError: if W_0 is zero.
    """
    update, origin = (float(np.linalg.norm(weight[name])) for name in ("values", "origin_values"))
    if origin == 0:
        raise UserError(
            f"{weight.name} is zero before training, nothing in it is amplified; choose others by --weights"
        )
    inside = {
        "update": weight["projected"],
        "origin": np.sqrt(np.cumsum(weight["origin_values"] ** 2)),
        "random": weight["projected_random"],
        "expected": np.arange(1, max(counts) + 1) * origin / np.sqrt(np.prod(weight.shape)),  # r ||W_0|| / sqrt(m n)
    }
    return [
        {"r": r, "norm_update": update, "norm_origin": origin}
        | {f"within_{name}": norms[r - 1] for name, norms in inside.items()}
        for r in counts
    ]


def _with_factors(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{f"factor_{name}": rows["norm_update"] / rows[f"within_{name}"] for name in LOOKS})


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Quadratic means of the norms over seeds and layers, as the null is one of squares, and factors of the means."""
    columns = ["norm_update", "norm_origin", *(f"within_{name}" for name in LOOKS)]
    squares = rows.assign(**{name: rows[name] ** 2 for name in columns})
    by = squares.groupby(["method", "run", "weights", "r"], sort=False)[columns]
    return _with_factors(np.sqrt(by.mean()).reset_index())


def _counts(here: pd.DataFrame) -> list[int]:
    """The rank of a run that has one, as far as all its weights have directions; else each power of two."""
    rank, kept = here["rank"].iloc[0], min(weight.num_directions for weight in here["weight"])
    return [2**k for k in range(kept.bit_length())] if pd.isna(rank) else [min(int(rank), kept)]


def _draw(rows: pd.DataFrame) -> Figure:
    with mpl.rc_context(STYLE):
        figure, grid = panels(list(rows["method"].unique()), list(rows["weights"].unique()))
        for (method, label), axes in grid.items():
            here = rows[(rows["method"] == method) & (rows["weights"] == label)]
            for name, look in LOOKS.items():
                axes.plot(
                    here["r"].to_numpy(float),
                    here[f"factor_{name}"].to_numpy(float),
                    **look,
                    mec="white",
                    mew=0.6,
                    ms=5,
                )
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            powers_of_ten(axes.yaxis)
        low, high = rows["r"].min(), rows["r"].max()
        for axes in grid.values():
            axes.set_xlim(low / 1.2, high * 1.2)
            powers(axes.xaxis, low, high)
        figure.supxlabel("r, directions; of a run with a rank, its rank", fontsize=10)
        figure.supylabel("amplification ‖ΔW‖ / ‖UᵀW₀V‖", fontsize=10)
        handles, labels = next(iter(grid.values())).get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, handletextpad=0.5, columnspacing=1.2)
    return figure


if __name__ == "__main__":
    program(amplification)
