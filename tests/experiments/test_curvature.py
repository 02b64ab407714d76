"""Curvature: products and quadrature against dense matrices, the toy's ten constraints, and runs that have none."""

import copy
import shutil

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian

from analysis.references.quadratic_threshold import larsen_threshold, quadratic_threshold
from experiments.curvature import curvature
from experiments.hessian.hessian import Hessian
from experiments.hessian.quadrature import quadrature
from intrinsic.data.toy import toy
from intrinsic.errors import UserError
from intrinsic.models.sums import Sums
from intrinsic.subspace import Subspace
from tests.support.commands import assert_one_line
from tests.support.measurements import folders, labelled, measure, reopened

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings", "unrendered")]


def small():
    """A run of full training in float64 with 59 weights, whose solution is anywhere."""
    torch.manual_seed(0)
    start = Subspace(nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3, bias=False)).double())
    net = copy.deepcopy(start)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p), alpha=0.5)
    return reopened(start, net, labelled(net.eval(), torch.randn(40, 5, dtype=torch.float64), 3))


def dense(run):
    model, theta = run.net.model, {name: p.detach() for name, p in run.net.model.named_parameters()}
    inputs, targets = run.task.train.inputs, run.task.train.targets
    rows = hessian(lambda at: run.task.loss(functional_call(model, at, (inputs,)), targets))(theta)
    sizes = {name: p.numel() for name, p in theta.items()}
    return torch.cat([torch.cat([rows[a][b].reshape(sizes[a], sizes[b]) for b in theta], 1) for a in theta]), torch.cat(
        [p.reshape(-1) for p in theta.values()]
    )


def test_products_are_those_of_the_dense_matrix(monkeypatch):
    monkeypatch.setattr("experiments.hessian.hessian.CHUNK", 17)  # 40 examples in three unequal parts
    run = small()
    matrix, _ = dense(run)
    product = Hessian(run.net.model, [name for name, _ in run.net.model.named_parameters()], run.task, run.task.train)
    v = torch.randn(54, dtype=torch.float64)
    torch.testing.assert_close(product(v), matrix @ v)


def test_measures_are_those_of_the_dense_matrix():
    """With as many steps as there are weights the spectrum of delta is exact; random probes are exact in the mean."""
    run = small()
    matrix, solution = dense(run)
    delta = solution - torch.cat([p.detach().reshape(-1) for p in run.start.model.parameters()])
    values, arrays = curvature(run, examples=40, top=10, probes=10, steps=54)
    exact = torch.linalg.eigvalsh(matrix).flip(0)
    torch.testing.assert_close(arrays["top"], exact[:10], rtol=1e-5, atol=0)
    assert values["distance"] == pytest.approx(delta.norm().item())
    for power in (0, 1, 2, 3):  # moments of delta's spectral measure
        found = (arrays["moved/weights"] * arrays["moved/nodes"] ** power).sum()
        assert found.item() == pytest.approx(
            (delta @ torch.linalg.matrix_power(matrix, power) @ delta).item(), rel=1e-4
        )
    assert abs(values["trace"] - exact.sum().item()) < 4 * values["trace_error"] + 1e-6
    assert values["effective_rank"] == pytest.approx((exact.sum() ** 2 / exact.square().sum()).item(), rel=0.1)
    kappa = 0.01
    shares = (arrays["weights"] * (arrays["nodes"].clamp(min=0) / (arrays["nodes"].clamp(min=0) + kappa))).sum(1)
    top = (arrays["top"] / (arrays["top"] + kappa)).sum()
    assert (top + shares.mean()).item() == pytest.approx(
        (exact.clamp(min=0) / (exact.clamp(min=0) + kappa)).sum().item(), rel=0.1
    )
    assert arrays["line/loss"][-1] == pytest.approx(values["loss"])


def test_a_quadrature_is_exact_where_the_subspace_is_invariant():
    """Of a start that three eigenvectors hold, three steps tell all, and the fourth is not taken."""
    matrix = torch.diag(torch.arange(1.0, 31.0, dtype=torch.float64))
    start = torch.zeros(30, dtype=torch.float64)
    start[[2, 10, 20]] = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    nodes, weights = quadrature(lambda v: matrix @ v, start, 20, beside=start.new_zeros(0, 30), what="")
    np.testing.assert_allclose(nodes, [3, 11, 21], rtol=1e-9)
    np.testing.assert_allclose(weights, [1, 4, 9], rtol=1e-9)


def test_the_toy_needs_its_ten_constraints():
    """D = 1,000, ten sums: both thresholds come to 10 as epsilon goes to 0, and H has rank 10 and trace 200."""
    start = Subspace(Sums((1,), 10, full_dim=1000))
    net = copy.deepcopy(start)
    with torch.no_grad():
        net.model.weight.copy_(torch.arange(1.0, 11.0).repeat_interleave(100) / 100)
    values, arrays = curvature(reopened(start, net, toy(steps=1)), steps=20, top=12, probes=4)
    assert values["trace"] == pytest.approx(200, rel=1e-4)
    assert values["effective_rank"] == pytest.approx(10, rel=1e-4)
    nodes = np.concatenate([arrays["top"], arrays["nodes"].ravel()])
    weights = np.concatenate([np.ones(len(arrays["top"])), arrays["weights"].ravel() / 4])
    moved = arrays["moved/nodes"].numpy(), arrays["moved/weights"].numpy()
    for epsilon, within in ((1e-2, 0.01), (1e-4, 0.001)):
        assert larsen_threshold(nodes, weights, epsilon, values["distance"]) == pytest.approx(10, rel=within)
        assert quadratic_threshold(nodes, weights, *moved, epsilon) == pytest.approx(10, rel=within)


def test_what_has_no_curvature():
    run = small()
    for options, rule in (
        ({"examples": 0}, r"need an integer examples >= 1, got examples=0"),
        ({"probes": 0}, r"need an integer probes >= 1, got probes=0"),
        ({"steps": 1}, r"need an integer steps >= 2, got steps=1"),
        ({"top": -1}, r"need an integer top >= 0, got top=-1"),
        ({"split": "dev"}, r"need split to be train or validation or test, got dev"),
        ({"precision": "half"}, r"need precision to be float64 or float32, got half"),
    ):
        with pytest.raises(UserError, match=rule):
            curvature(run, **options)
    with pytest.raises(UserError, match="the solution is theta_0 itself"):
        curvature(reopened(run.start, copy.deepcopy(run.start), run.task))
    with torch.no_grad():
        run.net.model[0].bias[0] = float("nan")
    with pytest.raises(UserError, match="the train loss at the solution is nan: a run that diverged has no curvature"):
        curvature(run)


@pytest.mark.slow
def test_runs_that_cannot_be_measured_end_in_one_line(study, tmp_path, capsys):
    full = folders(study, "full")[0]

    def refused(match, change):
        home = tmp_path / str(len(list(tmp_path.iterdir()))) / full.name
        shutil.copytree(full, home)
        change(home)
        assert measure("curvature", home.parent) == 2
        assert_one_line(capsys.readouterr().err.splitlines()[-1] + "\n", match)

    def replaced(old, new):
        def change(home):
            record = home / "record.json"
            assert old in record.read_text()
            record.write_text(record.read_text().replace(old, new))

        return change

    refused(r"has base=int8, .* need base=float32", replaced('"base": "float32"', '"base": "int8"'))
    refused(r"no finished run in .*: 1 diverged", replaced('"status": "finished"', '"status": "diverged"'))
    refused(r"there is no file .*trained\.safetensors", lambda home: (home / "trained.safetensors").unlink())
    assert measure("curvature", folders(study, "head")[0]) == 2
    assert_one_line(capsys.readouterr().err, "curvature measures runs of method full")
