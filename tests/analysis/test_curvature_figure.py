"""Predicted thresholds: random quadratics, and the figure beside subspaces that were trained."""

import json

import numpy as np
import pytest
import torch

import intrinsic
from analysis.curvature import curvature
from analysis.references.quadratic_threshold import larsen_threshold, quadratic_threshold
from intrinsic.errors import UserError
from intrinsic.files.tensors import write_tensors
from tests.support.studies import add, python

pytestmark = pytest.mark.usefixtures("unrendered")

DIMS, SEEDS, FULL_DIM = (16, 20, 25, 32, 40, 50, 63, 80, 100), 10, 400


def lowest_loss(values, delta, dim, rng):
    """min over z of the quadratic at theta_0 + P z, P of independent normals, by least squares."""
    root = np.sqrt(values)
    matrix = root[:, None] * rng.standard_normal((len(values), dim))
    _, rest, *_ = np.linalg.lstsq(matrix, root * delta, rcond=None)
    return rest[0] / 2


def measured(values, delta, epsilon):
    """The d at which half of the seeds come within epsilon."""
    rng = np.random.default_rng(0)
    dims = [dim for dim in DIMS for _ in range(SEEDS)]
    scores = [0.9 ** (lowest_loss(values, delta, dim, rng) / epsilon) for dim in dims]  # >= 0.9 where it does
    found = intrinsic.estimate_threshold(dims, scores, [1.0], estimand="success", estimator="isotonic")
    assert found.censored is None
    return found.value


def quadratic(power, spread, d):
    """A power law, a displacement in its `spread` leading directions, and the loss at which Larsen's d* is d."""
    values = np.arange(1.0, FULL_DIM + 1) ** -power
    delta = np.random.default_rng(7).standard_normal(FULL_DIM) * (np.arange(FULL_DIM) < spread)
    losses = np.geomspace(1e-9, 1e3, 4000)
    dims = [larsen_threshold(values, np.ones(FULL_DIM), loss, np.linalg.norm(delta)) for loss in losses]
    return values, delta, float(np.interp(-d, -np.array(dims), losses))


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("d", [30, 50])
def test_power_laws_need_what_is_predicted(power, d):
    """theta_0 is off in a few directions of large curvature, where gradient descent moves it: both are right."""
    values, delta, epsilon = quadratic(power, 6, d)
    found = measured(values, delta, epsilon)
    assert larsen_threshold(values, np.ones(FULL_DIM), epsilon, np.linalg.norm(delta)) == pytest.approx(found, rel=0.15)
    assert quadratic_threshold(values, np.ones(FULL_DIM), values, delta**2, epsilon) == pytest.approx(found, rel=0.15)


def test_a_start_that_is_off_in_all_directions_needs_less_than_larsens():
    values, delta, epsilon = quadratic(2.0, FULL_DIM, 120)
    found = measured(values, delta, epsilon)
    assert quadratic_threshold(values, np.ones(FULL_DIM), values, delta**2, epsilon) == pytest.approx(found, rel=0.15)
    assert found < 120 / 1.5


def test_limits():
    values, ones = np.array([2.0, 1.0, 0.0, -3.0]), np.ones(4)
    assert larsen_threshold(values, ones, 1e-12, 1.0) == pytest.approx(2)  # as many as curve upwards
    assert larsen_threshold(values, ones, 0.5, 1.0) == pytest.approx(2 / 3 + 1 / 2)
    assert quadratic_threshold(values, ones, values, ones, 1.6) == 0  # theta_0 is within (2 + 1) / 2
    assert 0 < quadratic_threshold(values, ones, values, ones, 1.4) < 0.2


def planted(study, seed=0, **options):
    """A run of full training, its Hessian, and three subspaces."""
    folder = add(study, "full", test=0.98, seed=seed).parent
    at = torch.linspace(0, 1, 5, dtype=torch.float64)
    arrays = {
        "top": torch.tensor([4.0, 2.0]), "nodes": torch.tensor([[0.1, -0.01], [0.2, 0.0]]),
        "weights": torch.tensor([[50.0, 20.0], [60.0, 10.0]]), "moved/nodes": torch.tensor([4.0, 2.0, 0.1]),
        "moved/weights": torch.tensor([6.0, 2.0, 1.0]), "line/at": at, "line/loss": (1 - at) ** 2 * 2 + 0.01,
        "line/score": torch.tensor([0.1, 0.3, 0.6, 0.9, 1.0]),
    }  # fmt: skip
    values = {"full_dim": 72, "distance": 3.0, "loss": 0.01, "effective_rank": 12.3, "split": "train"}
    write_tensors(folder / "curvature.safetensors", arrays, {"values": values, "options": {"examples": 40} | options})
    return folder


@pytest.mark.rendered
def test_the_figure_beside_trained_subspaces(study):
    planted(study)
    for dim, score, loss in ((10, 0.6, 1.0), (30, 0.85, 0.5), (100, 0.95, 0.2), (300, 0.97, 0.05)):
        path = add(study, "subspace", test=score, dim=dim, projection="Fastfood")
        record = json.loads(path.read_text())
        record["last"]["train"] = {"loss": loss}
        path.write_text(json.dumps(record))
    drawn = curvature(study)
    (row,) = drawn.table.to_dict("records")
    epsilon = 0.125  # the score on the line is 0.9 at t = 3/4: 2 / 16
    assert row["ε"] == f"{epsilon:.3g}"
    kappa = 2 * epsilon / 9
    expected = 4 / (4 + kappa) + 2 / (2 + kappa) + (50 * 0.1 / (0.1 + kappa) + 60 * 0.2 / (0.2 + kappa)) / 2
    assert row["d*, Larsen et al."] == f"{expected:.0f}"
    assert int(row["d of the quadratic"]) <= int(row["d*, Larsen et al."])
    assert 30 < float(row["measured d90"].partition(" ")[0]) < 100
    assert sorted(drawn.rows[drawn.rows["series"] == "subspaces, trained"]["dim"]) == [10, 30, 100, 300]
    assert [path.name for path in drawn.paths] == [f"curvature.{suffix}" for suffix in ("png", "pdf", "csv")]


def test_what_cannot_be_predicted(study):
    add(study, "full", test=0.98)
    with pytest.raises(UserError, match=r"has curvature\.safetensors; `python -m experiments\.curvature .*demo`"):
        curvature(study)
    planted(study, seed=1)
    drawn = curvature(study)
    assert any("no subspace to compare" in note for note in drawn.notes)
    planted(study, seed=2, examples=50)
    with pytest.raises(UserError, match="different options: examples is 40 and 50"):
        curvature(study)
    assert "need 0 < fraction < 1" in python("-m", "analysis.curvature", str(study), "--fraction", "1.5").stderr
