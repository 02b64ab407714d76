"""The likeness of the directions that training found, between ranks and between seeds.

python run.py -m rank=8,64 seed=0,1 study=inside     makes the runs
python -m experiments.updates outputs/inside         measures their updates
python -m analysis.similarity outputs/inside         draws them
"""

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from analysis.figures.command import program
from analysis.figures.figure import FigureResult, save_figure
from analysis.figures.heat_maps import Panel, heat_maps
from analysis.studies.moved_weights import moved_weights
from analysis.studies.weight import Weight
from intrinsic.errors import UserError

Pair = tuple[str, str]  # ids of two runs


def similarity(
    *studies: str | Path,
    out: str | Path | None = None,
    where: Sequence[str] = (),
    ranks: Sequence[int] = (),
    between: Literal["both", "ranks", "seeds"] = "both",
    side: Literal["right", "left"] = "right",
    pairs: Literal["different", "same"] = "different",
    weights: Sequence[str] = (),
    per: Literal["type", "weight"] = "type",
) -> FigureResult:
    """Draw phi(i, j) = ||U_A[:, :i]^T U_B[:, :j]||_F^2 / min(i, j), in [0, 1], between the updates of two runs.

    U are the singular vectors of dW of one weight, in R^d, in falling order of the singular values; phi = 1: the
    smaller of the two subspaces lies in the larger. Beside it the null: E phi = max(i, j) / d of independent random
    subspaces, as each of the i j squared products of unit vectors is 1 / d in the mean. Means over pairs of runs and
    layers.

    The table has two distances at i = j = k, with principal angles theta: ||sin theta||_2 = sqrt(k (1 - phi)), and the
    geodesic ||theta||_2 of the Grassmann manifold. Writes similarity.png, .pdf and .csv, a row a panel, i and j.

    Source: Hu et al. 2021, LoRA, arXiv:2106.09685, section 7.2, equation 4, figures 3 and 4, which take the singular
    vectors of A: those of dW = B A span the same rows, in the order in which they move the output.

    Args:
        studies: folders of runs.
        out: folder of the files; None: `figures` in the first study.
        where: see `analysis.studies.records.load_records`.
        ranks: two ranks to compare; seeds are compared at the second (default: the smallest from 2 that has a seed to
            pair, and the largest; seeds at the largest of several).
        between: compare runs of two ranks, of two seeds, or both as far as the runs allow.
        side: right or left singular vectors, in the space of the inputs or of the outputs.
        pairs: seeds paired between ranks. same: rows of A, a new head and the data's order begin alike.
        weights: parts of names such as query, layer.0 or layer.*.output.dense (default: what has moved in every run).
        per: a panel for each type of weight, the mean of its layers, or for each weight.

    Raises:
        UserError: as `moved_weights`; runs of several methods, a rank that is missing, one seed where two are needed,
            a weight that has moved in one of two runs alone.
    """
    for name, value, known in (("between", between, ("both", "ranks", "seeds")), ("side", side, ("right", "left")),
                               ("pairs", pairs, ("different", "same"))):  # fmt: skip
        if value not in known:
            raise UserError(f"need {name} to be {' or '.join(known)}, got {value!r}")
    table, notes = moved_weights(studies, where, weights, per, ranked=True)
    chosen, notes = _pairs(table, ranks, between, pairs == "same", notes)
    panels = [
        _panel(here, found, side).assign(between=title, weights=label)
        for title, found in chosen.items() for label, here in table.groupby("label", sort=False)
    ]  # fmt: skip
    rows = pd.concat(panels, ignore_index=True)
    rows = rows[["between", "weights", "layers", "pairs", "side", "d", "i", "j", "phi", "random", "sine", "geodesic"]]
    groups = [
        (f"{title}, {side} singular vectors of ΔW", _maps(here)) for title, here in rows.groupby("between", sort=False)
    ]
    figure = heat_maps(groups, ylabel="i, of the first", xlabel="j, of the second", scale="φ(i, j)")
    paths = save_figure(figure, rows, "similarity", Path(studies[0]) / "figures" if out is None else Path(out))
    shown = _table(rows)
    results = tuple(
        f"{title}: φ(1, 1) = {here['φ(1, 1)'].mean():.2f}, random {(1 / here['d']).mean():.3f}"
        for title, here in shown.groupby("between", sort=False)
    )
    return FigureResult(rows=rows, table=shown, notes=notes, paths=paths, figure=figure, results=results)


def phi(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The similarity (k, l) of the i and j leading columns of A (d, k) and B (d, l), which are orthonormal."""
    shared = ((a.T @ b) ** 2).cumsum(0).cumsum(1)
    return shared / np.minimum.outer(np.arange(1, a.shape[1] + 1), np.arange(1, b.shape[1] + 1))


def geodesic(a: np.ndarray, b: np.ndarray) -> float:
    """||theta||_2 of the principal angles between the spans of A and B, both (d, k) with orthonormal columns."""
    cosines = np.linalg.svd(a.T @ b, compute_uv=False)
    return float(np.linalg.norm(np.arccos(np.minimum(cosines, 1))))


def _pairs(
    table: pd.DataFrame, ranks: Sequence[int], between: str, same: bool, notes: Sequence[str]
) -> tuple[dict[str, list[Pair]], list[str]]:
    """The pairs of runs to compare under each title, and notes on those that the runs don't allow."""
    runs = table.drop_duplicates("run_id")
    counts = runs["curve"].value_counts()
    if len(counts) > 1:
        notes = [*notes, f"methods left out: {', '.join(counts.index[1:])}; --where method=NAME draws one"]
        runs = runs[runs["curve"] == counts.index[0]]
    tried = sorted({int(x) for x in runs["x"]})
    if ranks and len(ranks) != 2:
        raise UserError(f"need two ranks, got {len(ranks)}: --ranks {tried[0]} {tried[-1]}")
    missing = [str(rank) for rank in ranks if rank not in tried]
    if missing:
        raise UserError(f"no run of rank {', '.join(missing)}; the ranks are {', '.join(map(str, tried))}")
    seeds = {rank: {run.seed: run.run_id for run in runs[runs["x"] == rank].itertuples()} for rank in tried}

    def crossed(one: int, other: int) -> list[Pair]:
        return [(seeds[one][a], seeds[other][b]) for a, b in product(seeds[one], seeds[other]) if (a == b) == same]

    smaller = [rank for rank in tried[:-1] if rank > 1] or tried[:1]
    low, high = ranks or (next((rank for rank in smaller if crossed(rank, tried[-1])), smaller[0]), tried[-1])
    repeated = high if ranks else max([rank for rank in tried if len(seeds[rank]) > 1], default=high)
    problems = {
        "ranks": f"need two ranks, got {low}: `python run.py -m rank=8,64 ...` makes two" if low == high
        else "" if crossed(low, high) else "need runs of two seeds, as ranks of one seed begin with equal rows of A: "
        f"`python run.py -m rank={low},{high} seed=0,1 ...` makes them; --pairs same takes one seed",
        "seeds": "" if len(seeds[repeated]) > 1 else f"need runs of two seeds at rank {repeated}: "
        f"`python run.py -m rank={repeated} seed=0,1 ...` makes them",
    }  # fmt: skip
    wanted = ["ranks", "seeds"] if between == "both" else [between]
    if all(problems[name] for name in wanted):
        raise UserError(problems[wanted[0]])
    chosen = {
        f"rank {low} against {high}": ("ranks", crossed(low, high)),
        f"rank {repeated} against {repeated}": ("seeds", list(combinations(seeds[repeated].values(), 2))),
    }
    more = [f"not drawn between {name}: {problems[name]}" for name in wanted if problems[name]]
    found = {title: pairs for title, (name, pairs) in chosen.items() if name in wanted and not problems[name]}
    return found, [*notes, *more]


def _panel(here: pd.DataFrame, pairs: Sequence[Pair], side: str) -> pd.DataFrame:
    """One row for each i and j: means over pairs of runs and weights, as far as all of them have directions."""
    weights = {(row.run_id, row.name): row.weight for row in here.itertuples(index=False)}
    names = [name for name in here["name"].unique() if any((run, name) in weights for pair in pairs for run in pair)]
    for (one, other), name in product(pairs, names):
        if ((one, name) in weights) != ((other, name) in weights):
            moved, lacking = (one, other) if (one, name) in weights else (other, one)
            raise UserError(f"{name} has not moved in {lacking} but in {moved}; leave it out of --weights")
    both: list[tuple[Weight, Weight]] = [(weights[a, n], weights[b, n]) for (a, b), n in product(pairs, names)]
    rows, columns = (min(pair[end].num_directions for pair in both) for end in (0, 1))
    vectors = [(a[side][:, :rows], b[side][:, :columns]) for a, b in both]
    found = np.array([phi(a, b) for a, b in vectors])  # (pairs and weights, rows, columns)
    i, j = np.indices((rows, columns)) + 1
    sizes = np.minimum(i, j)
    frame = pd.DataFrame({"i": i.ravel(), "j": j.ravel(), "phi": found.mean(0).ravel()})
    frame["d"] = len(vectors[0][0])
    frame["random"] = frame[["i", "j"]].max(axis=1) / frame["d"]
    frame["sine"] = np.sqrt(np.maximum(sizes * (1 - found), 0)).mean(0).ravel()
    frame["geodesic"] = np.nan
    for k in range(1, min(rows, columns) + 1):
        same = (frame["i"] == k) & (frame["j"] == k)
        frame.loc[same, "geodesic"] = np.mean([geodesic(a[:, :k], b[:, :k]) for a, b in vectors])
    return frame.assign(layers=len(names), pairs=len(pairs), side=side)


def _maps(rows: pd.DataFrame) -> list[Panel]:
    """A map for each label, and one of the null for each d."""
    panels = [(str(label), _matrix(here, "phi")) for label, here in rows.groupby("weights", sort=False)]
    nulls = [(f"random, d = {d:,}", _matrix(here[here["weights"] == here["weights"].iloc[0]], "random"))
             for d, here in rows.groupby("d", sort=False)]  # fmt: skip
    return panels + nulls


def _matrix(rows: pd.DataFrame, value: str) -> np.ndarray:
    matrix: np.ndarray = rows.pivot_table(index="i", columns="j", values=value).to_numpy()
    return matrix


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each panel, at i = j = 1 and at the largest i = j."""
    square = rows[rows["i"] == rows["j"]]
    panels = square.groupby(["between", "weights"], sort=False)
    last = panels.tail(1).set_index(["between", "weights"])
    first = panels.head(1).set_index(["between", "weights"])["phi"]
    found = pd.DataFrame({
        "layers": last["layers"], "pairs": last["pairs"], "d": last["d"], "φ(1, 1)": first, "k": last["i"],
        "φ(k, k)": last["phi"], "random φ": last["random"], "‖sin θ‖": last["sine"],
        "of random": np.sqrt(last["i"] * (1 - last["random"])), "geodesic ‖θ‖": last["geodesic"],
    })  # fmt: skip
    return found.reset_index()


if __name__ == "__main__":
    program(similarity)
