"""The gain of each weight matrix at theta_0, from `experiments.gradients`, beside how far training moved it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

import numpy as np
import pandas as pd

from analysis.studies.measurement_file import MeasurementFile
from intrinsic.errors import UserError


@dataclass(frozen=True)
class MatrixGains:
    """The matrices that LoRA fits, head and embeddings left out, and their types, the best one first.

    `matrices`, one row each: name, type, outputs m, inputs n; numbers, r (m + n); gain, half_0 and half_1, how fast the
    loss falls by unit of ||dW||_F and by trained number, of the batch and of its halves; share, of ||G||_F^2, in the
    first r directions; and by label its ||dW||_F^2, the mean over runs, NaN where no run moved it.

    `types`: type, matrices (a count), shape, gain (the mean of the matrices), above, above_0 and above_1 (whether it
    exceeds that of the average number of all matrices: over the batch and its halves), share (of ||G||_F^2 in the
    first r directions, the mean of the matrices), weights (the share of all weights, which would be that of ||dW||_F^2
    if every weight moved alike), and by label the share of ||dW||_F^2.
    """

    matrices: pd.DataFrame
    types: pd.DataFrame
    labels: tuple[str, ...]
    rank: int

    @classmethod
    def of(cls, gradients: MeasurementFile, rank: int, moved: Mapping[str, Sequence[MeasurementFile]]) -> "MatrixGains":
        """At rank r, with measurements by `experiments.updates` by label.

        Raises:
            UserError: if the gradients were measured to a lower rank, or there is no such matrix.
        """
        kept = int(gradients.options["keep"])
        if not 1 <= rank <= kept:
            again = f"`python -m experiments.gradients {gradients.path.parent} --keep {max(rank, kept)}` measures more"
            raise UserError(f"need 1 <= rank <= {kept}, the ranks measured, got rank={rank}; {again}")
        rows = []
        for name, weight in gradients.values["weights"].items():
            if weight["kind"] == "matrix":
                m, n = weight["shape"]
                r = min(rank, m, n)
                halves = gradients.array(f"{name}/half_gain")[:, r - 1].astype(float)
                rows.append({
                    "name": name, "type": kind(name), "outputs": m, "inputs": n, "numbers": r * (m + n),
                    "gain": float(gradients.array(f"{name}/gain")[r - 1]), "half_0": halves[0], "half_1": halves[1],
                    "share": float(gradients.array(f"{name}/share")[r - 1]),
                    **{label: _energy(name, runs) for label, runs in moved.items()},
                })  # fmt: skip
        if not rows:
            raise UserError(f"{gradients.path} has no matrix that LoRA fits, beside head and embeddings")
        matrices = pd.DataFrame(rows)
        return cls(matrices, _types(matrices, tuple(moved)), tuple(moved), rank)

    def average(self, gain: str = "gain") -> float:
        """The gain by number over all matrices: sum of gains r (m + n), over sum of r (m + n)."""
        return float((self.matrices[gain] * self.matrices["numbers"]).sum() / self.matrices["numbers"].sum())

    def table(self) -> pd.DataFrame:
        """For a reader."""
        columns = {"type": "matrices", "matrices": "layers", "shape": "shape"}
        table = self.types[list(columns)].rename(columns=columns)
        table[f"gain of rank {self.rank}, × average"] = self.types["gain"] / self.average()
        table[f"‖G‖² in rank {self.rank}"] = self.types["share"]
        for label in self.labels:
            table[f"share of ‖ΔW‖², {label}"] = self.types[label]
        table["share of weights"] = self.types["weights"]
        return table

    def agreement(self) -> list[str]:
        """By label, the rank correlation over matrices of gain, which is by number, and of ||dW||_F^2 / (m n)."""
        from scipy.stats import spearmanr  # slow to import

        lines = []
        for label in self.labels:
            there = self.matrices[self.matrices[label].notna()]
            if len(there) >= 4 and there["gain"].nunique() > 1:
                size = there["outputs"] * there["inputs"]
                found = spearmanr(there["gain"], there[label] / size).statistic
                lines.append(
                    f"gain by parameter and movement by weight ({label}): "
                    f"rank correlation {found:.2f} over {len(there)} matrices; without any relation "
                    f"within ±{1.96 / np.sqrt(len(there) - 1):.2f} in 19 of 20 cases"
                )
        return lines


def kind(name: str) -> str:
    """What stands in a weight's name behind the number of its layer.

    `bert.encoder.layer.3.attention.self.query.weight` is of the type `attention.self.query`; where no layer has a
    number, or nothing stands behind it, the type is the whole name less `weight`.
    """
    parts = name.removesuffix("_weight").removesuffix(".weight").split(".")
    inside = list(dropwhile(str.isdigit, dropwhile(lambda part: not part.isdigit(), parts)))
    return ".".join(inside or parts)


def _energy(name: str, runs: Sequence[MeasurementFile]) -> float:
    found = [
        np.square(run.array(f"{name}/values").astype(float)).sum() for run in runs if name in run.values["weights"]
    ]
    return float(np.mean(found)) if found else np.nan


def _types(matrices: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    size = matrices["outputs"] * matrices["inputs"]
    shares = {label: matrices[label] / matrices[label].sum() for label in labels}
    shapes = matrices["outputs"].astype(str) + " × " + matrices["inputs"].astype(str)
    frame = matrices.assign(weights=size / size.sum(), shape=shapes, **shares)
    groups = frame.groupby("type", sort=False)
    table = pd.DataFrame({
        "matrices": groups.size(), "shape": groups["shape"].agg(lambda shapes: " or ".join(dict.fromkeys(shapes))),
        "gain": groups["gain"].mean(),
            "share": groups["share"].mean(), "weights": groups["weights"].sum(),
    })  # fmt: skip
    for gain, above in (("gain", "above"), ("half_0", "above_0"), ("half_1", "above_1")):
        table[above] = groups[gain].mean() > (frame[gain] * frame["numbers"]).sum() / frame["numbers"].sum()
    for label in labels:
        table[label] = groups[label].sum(min_count=1)
    return table.sort_values("gain", ascending=False, kind="stable").reset_index()
