"""Predict d90 from the curvature at the solution of full training, beside the d90 that subspaces need.

python run.py method=full study=dims                                                makes the solution
python run.py -m method=subspace dim=30,100,300,1000 seed=0,1,2 study=dims          subspaces to compare it with
python -m experiments.curvature outputs/dims                                        measures the Hessian
python -m analysis.curvature outputs/dims                                           predicts and draws
python -m analysis.curvature outputs/mnist_fc outputs/mnist_lenet --across model    two networks
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.command import program
from analysis.figures.figure import FigureResult, save_figure
from analysis.figures.predicted_dims import LARSEN, MEASURED, QUADRATIC, TARGET, TRAINED, draw_predicted_dims
from analysis.references.quadratic_threshold import larsen_threshold, quadratic_threshold
from analysis.studies.config_keys import keys_under
from analysis.studies.estimates import estimates, networks, on_axis
from analysis.studies.measurement_file import MeasurementFile, check_alike, measured_runs
from analysis.studies.record_in import record_in
from analysis.studies.records import load_records
from intrinsic.errors import UserError
from intrinsic.threshold import Threshold

POINTS = 120  # of a curve
LOWEST = 1e-3  # of the loss at theta_0: the smallest excess that is drawn


def curvature(
    *studies: str | Path,
    out: str | Path | None = None,
    split: str = "test",
    where: Sequence[str] = (),
    fraction: float = 0.9,
    across: Sequence[str] = (),
) -> FigureResult:
    """Draw the dimension that a quadratic loss would need against the loss that is reached, a panel for each network.

    Two predictions from one Hessian, with the constants derived in `analysis.references.quadratic_threshold`: the d* of
    Larsen et al. 2021, sum lambda / (lambda + 2 epsilon / R^2), and the threshold of that quadratic itself, which knows
    in which directions theta_0 is off. Subspaces that were trained are points at their loss on training data. The loss
    at which full training's score is reached to the fraction is read off the line from theta_0 to the solution: dotted.
    No subspace has a part in a prediction. They are drawn as far down as the quadrature
    tells the eigenvalues near 0 apart: kappa above the gap of its nodes there. Writes curvature.png, .pdf and .csv.

    Source: Larsen, Fort, Becker, Ganguli 2021, arXiv:2107.05802.

    Args:
        studies: folders of runs, the solution of full training among them.
        out: folder of the files; None: `figures` in the first study.
        split: whose score the measured threshold is of.
        where: see `load_records`.
        fraction: of full training's score, in (0, 1).
        across: see `load_records`; networks that differ in these keys are drawn side by side.

    Raises:
        UserError: as `load_records` and `measured_runs`; the fraction is not in (0, 1).
    """
    if not 0 < fraction < 1:
        raise UserError(f"need 0 < fraction < 1, got fraction={fraction}")
    frame, notes = load_records(studies, where, split, across=across)
    measured, _ = measured_runs(frame[frame["method"] == "full"], "curvature")
    check_alike(measured, "curvature")
    frame = frame.assign(x=on_axis(frame, "dim") if frame["dim"].notna().any() else pd.NA)
    rows, table = [], []
    for name, runs in networks(frame, keys_under(frame, across)).items():
        files = measured[measured["run_id"].isin(runs["run_id"])].sort_values(
            ["validation_score", "seed"], ascending=[False, True]
        )
        title = name or "full"
        if files.empty:
            notes.append(f"not measured: {title}; `python -m experiments.curvature` measures it")
            continue
        prediction = Prediction(files["measured"].iloc[0], fraction)
        threshold, said = _measured(runs, fraction, split)
        notes += [f"{title}: {said}"] * bool(said)
        if prediction.epsilon < prediction.resolved:
            notes.append(f"{title}: too few steps to tell small eigenvalues from 0 at this loss: use more --steps")
        table.append(prediction.summary(title) | {f"measured d{100 * fraction:g}": _written(threshold)})
        rows += [_curve(title, prediction), _points(title, runs), _marks(title, prediction, threshold)]
    found = pd.concat([part for part in rows if len(part)], ignore_index=True)
    figure = draw_predicted_dims(found, f"{100 * fraction:g} %", measured["measured"].iloc[0].values["split"])
    paths = save_figure(figure, found, "curvature", Path(studies[0]) / "figures" if out is None else Path(out))
    return FigureResult(rows=found, table=pd.DataFrame(table), notes=notes, paths=paths, figure=figure)


class Prediction:
    """What the Hessian of one solution says of random subspaces.

    Args:
        file: of `experiments.curvature`.
        fraction: of the solution's score.
    """

    def __init__(self, file: MeasurementFile, fraction: float) -> None:
        self.values = file.values
        top, nodes, weights = (file.array(name) for name in ("top", "nodes", "weights"))
        self._values = np.concatenate([top, nodes.ravel()])
        self._weights = np.concatenate([np.ones(len(top)), weights.ravel() / max(len(weights), 1)])
        self._moved = file.array("moved/nodes"), file.array("moved/weights")
        self.at, self.loss, self.score = (file.array(f"line/{name}") for name in ("at", "loss", "score"))
        self.epsilon = self._excess_at(fraction * self.score[-1])
        self.resolved = max(map(_gap, nodes, weights), default=0.0) * self.values["distance"] ** 2 / 2

    def larsen(self, epsilon: float) -> float:
        """Larsen et al.'s d* at a loss so far above the solution's."""
        return larsen_threshold(self._values, self._weights, epsilon, self.values["distance"])

    def quadratic(self, epsilon: float) -> float:
        """The threshold of the quadratic itself."""
        return quadratic_threshold(self._values, self._weights, *self._moved, epsilon)

    def _excess_at(self, target: float) -> float:
        """The loss above the solution's where the line last comes to the target; NaN where it is there all along."""
        below = np.flatnonzero(~(self.score >= target))
        if not len(below):
            return float("nan")
        k = below[-1]
        share = (target - self.score[k]) / (self.score[k + 1] - self.score[k])
        return float(self.loss[k] + share * (self.loss[k + 1] - self.loss[k]) - self.loss[-1])

    def summary(self, title: str) -> dict[str, Any]:
        """A row of the table."""
        epsilon = self.epsilon
        return {
            "network": title,
            "D": self.values["full_dim"],
            "R": f"{self.values['distance']:.3g}",
            "largest λ": f"{self._values.max():.3g}",
            "effective rank": f"{self.values['effective_rank']:.3g}",
            "ε": f"{epsilon:.3g}" if epsilon > 0 else "?",
            "d*, Larsen et al.": f"{self.larsen(epsilon):.0f}" if epsilon > 0 else "?",
            "d of the quadratic": f"{self.quadratic(epsilon):.0f}" if epsilon > 0 else "?",
        }


def _gap(nodes: np.ndarray, weights: np.ndarray) -> float:
    """Between the nodes of one probe on both sides of 0: the kappa below which it cannot tell what is above 0."""
    there = nodes[weights > 0]
    above, below = there[there > 0], there[there < 0]
    return float(above.min() - below.max()) if len(above) and len(below) else 0.0


def _measured(runs: pd.DataFrame, fraction: float, split: str) -> tuple[list[tuple[str, Threshold]], str]:
    """The thresholds of the subspaces that were trained, by curve; or why there is none."""
    if runs["x"].isna().all():
        return [], "no subspace to compare the prediction with; `python run.py -m method=subspace dim=...` makes some"
    _, _, found = estimates(runs, axis="dim", split=split, fraction=fraction)
    known = [(each.curve, each.threshold) for each in found if each.threshold is not None]
    return known, "" if known else "fewer than three dims, from which no threshold can be measured"


def _written(thresholds: Sequence[tuple[str, Threshold]]) -> str:
    return "; ".join(
        str(threshold).partition(" = ")[2].partition(" (")[0] or str(threshold) for _, threshold in thresholds
    )


def _curve(title: str, prediction: Prediction) -> pd.DataFrame:
    start, end = prediction.loss[0], prediction.loss[-1]
    if not end < start < np.inf:
        return pd.DataFrame()
    epsilon = np.geomspace(min(max(LOWEST * (start - end), prediction.resolved), start - end), start - end, POINTS)
    parts = [
        pd.DataFrame({"network": title, "series": series, "loss": end + epsilon, "dim": [make(e) for e in epsilon]})
        for series, make in ((LARSEN, prediction.larsen), (QUADRATIC, prediction.quadratic))
    ]
    return pd.concat(parts, ignore_index=True)


def _points(title: str, runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each finished subspace: its loss on training data, and d."""
    trained = runs[runs["x"].notna() & (runs["status"] == "finished")]
    losses = [record_in(folder).score("train", "loss") for folder in trained["folder"]]
    found = pd.DataFrame({"network": title, "series": TRAINED, "loss": losses, "dim": trained["x"].astype(float)})
    return found[pd.to_numeric(found["loss"], errors="coerce").gt(0)]


def _marks(title: str, prediction: Prediction, thresholds: Sequence[tuple[str, Threshold]]) -> pd.DataFrame:
    """The loss at the fraction of the score, with d*; and the measured thresholds, with their intervals."""
    at = prediction.loss[-1] + prediction.epsilon
    marks: list[dict[str, Any]] = []
    if prediction.epsilon > 0:
        marks.append({"series": TARGET, "loss": at, "dim": prediction.larsen(prediction.epsilon)})
    marks += [
        {"series": MEASURED, "dim": each.value, "low": each.low, "high": each.high}
        for _, each in thresholds
        if each.censored is None
    ]
    return pd.DataFrame(marks).assign(network=title)


if __name__ == "__main__":
    program(curvature)
