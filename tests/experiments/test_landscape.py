"""Losses on planes and lines: their centres and ends, the directions, and the figure."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from experiments.finished.subset import subset
from experiments.landscape import directions, landscape, norm
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Split
from intrinsic.training.evaluate import evaluate
from tests.support.measurements import labelled, reopened

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings", "unrendered")]


METHODS = {
    "full": {},
    "subspace": {"projection": intrinsic.Fastfood, "dim": 10},
    "said": {"projection": intrinsic.Fastfood, "dim": 10, "scales": "layer"},
    "head beside": {"projection": intrinsic.Dense, "dim": 7, "head": "train"},
    "lora": {"space": intrinsic.LoRA(rank=1)},
}
every_method = pytest.mark.parametrize("method", METHODS)


def moved(method, by=0.2):
    """A run of a network with BatchNorm whose trained numbers and statistics have moved."""
    torch.manual_seed(0)
    layers = nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(0.5), nn.Linear(12, 6), nn.Linear(6, 3)
    start = Subspace(nn.Sequential(*layers), **METHODS[method])
    net = copy.deepcopy(start)
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p), alpha=by)
        net.model[1].running_mean.add_(0.5)
    return reopened(start, net, labelled(net.eval(), torch.randn(60, 8), 3), method)


@every_method
def test_centres_and_ends_are_the_losses_there(method):
    """So after all the other points, whatever is trained beside z, and with the statistics of each end."""
    run = moved(method)
    expected = [evaluate(net, run.task, run.task.train) for net in (run.start, copy.deepcopy(run.net))]
    values, arrays = landscape(run, points=5)
    for end, (name, found) in enumerate(zip(("start", "solution"), expected, strict=True)):
        assert arrays[f"{name}/loss"].shape == (5, 5)
        on_line = arrays["line/at"].tolist().index(end)
        for key, value in (("loss", found["loss"]), ("score", found["accuracy"])):
            assert arrays[f"{name}/{key}"][2, 2] == value
            assert arrays[f"line/{key}"][on_line] == value
    assert arrays["line/at"].tolist() == [-0.25, 0, 0.25, 0.5, 0.75, 1, 1.25]
    assert arrays["start/loss"].unique().numel() > 20
    assert (values["examples"], values["split"], values["metric"]) == (60, "train", "accuracy")


def test_a_point_of_the_plane_is_what_it_says():
    """Row b, column a: theta_0 + P (a u + b v), by hand."""
    run = moved("subspace")
    _, arrays = landscape(run, points=3, span=0.5, seed=4)
    z = run.net.z.detach().clone()  # where the line ends: a step of 0.5 beyond
    solution = moved("subspace").net.z.detach()
    u, v = directions({"z": solution}, norm({"z": solution}), seed=4, filters=False)
    with torch.no_grad():
        run.start.z.copy_(-0.5 * u["z"] + 0.5 * v["z"])
    assert arrays["axis"].tolist() == [-0.5, 0, 0.5]
    assert arrays["start/loss"][2, 0] == pytest.approx(evaluate(run.start, run.task, run.task.train)["loss"], rel=1e-6)
    torch.testing.assert_close(z, 1.5 * solution)


@pytest.mark.parametrize("filters", [False, True])
def test_directions_are_orthogonal_and_of_one_length(filters):
    point = {"weight": torch.randn(20, 30) * torch.arange(20)[:, None], "bias": torch.randn(20), "B": torch.zeros(4, 1)}
    u, v = directions(point, 2.5, seed=1, filters=filters)
    assert (norm(u), norm(v)) == (pytest.approx(2.5), pytest.approx(2.5))
    dot = sum((u[name].double() * v[name]).sum() for name in u)
    assert abs(dot) < 1e-5  # of 6.25, in float32
    again = directions(point, 2.5, seed=1, filters=filters)
    assert all(again[0][name].equal(u[name]) and again[1][name].equal(v[name]) for name in point)
    assert not directions(point, 2.5, seed=2, filters=filters)[0]["bias"].equal(u["bias"])
    assert norm({"B": u["B"]}) == (0 if filters else pytest.approx(2.5 * (4 / 624) ** 0.5, rel=0.9))
    if filters:
        for way, rtol in ((u, 1e-5), (v, 0.2)):  # each row's share is the point's, up to what made v orthogonal
            share = way["weight"].norm(dim=1) / point["weight"].norm(dim=1).clamp_min(1e-12)
            torch.testing.assert_close(share[1:], torch.full((19,), 2.5 / norm(point)), rtol=rtol, atol=0)


def test_a_line_along_a_quadratic():
    """A linear model with a squared loss: along the line the loss is a parabola, on a plane the sum of two."""
    torch.manual_seed(0)
    start = Subspace(nn.Linear(5, 3, bias=False).double())
    net = copy.deepcopy(start)
    with torch.no_grad():
        net.model.weight.add_(torch.randn(3, 5))
    inputs = torch.randn(40, 5, dtype=torch.float64)
    split = Split(inputs, net.model(inputs).detach())
    task = intrinsic.tasks.task.Task(split, split, split, 3, loss=nn.functional.mse_loss,
                                    score=lambda outputs, targets: -(outputs - targets).square().mean(1))  # fmt: skip
    _, arrays = landscape(reopened(start, net, task), points=5)
    whole = evaluate(start, task, split)["loss"]
    torch.testing.assert_close(arrays["line/loss"], whole * (1 - arrays["line/at"]) ** 2)
    torch.testing.assert_close(arrays["line/score"], -arrays["line/loss"])
    around = arrays["solution/loss"]
    torch.testing.assert_close(around, around.flip(0, 1))  # even about the minimum
    assert (around >= 0).all()
    assert around.argmin() == 12


def test_fewer_examples_and_their_lengths():
    split = Split(torch.arange(50)[:, None], torch.arange(50), torch.arange(50) + 1)
    some = subset(split, 20, seed=0)
    assert len(some) == 20
    assert some.inputs[:, 0].equal(some.targets)
    assert some.lengths.equal(some.targets + 1)
    assert some.targets.equal(subset(split, 20, seed=0).targets)
    assert not some.targets.equal(subset(split, 20, seed=1).targets)
    assert subset(split, 50, seed=0) is split


def test_what_has_no_landscape():
    run = moved("full")
    for options, rule in (
        ({"points": 4}, r"need an odd number of points >= 3, so that the centre is one of them, got points=4"),
        ({"points": 1}, r"got points=1"),
        ({"span": 0.0}, r"need a finite span > 0, .*, got span=0\.0"),
        ({"span": float("inf")}, r"got span=inf"),
        ({"examples": 0}, r"need examples >= 1, got examples=0"),
        ({"split": "dev"}, r"need split to be train or validation or test, got dev"),
        ({"seed": -1}, r"need an integer seed >= 0"),
    ):
        with pytest.raises(UserError, match=rule):
            landscape(run, **{"points": 3, **options})
    with pytest.raises(UserError, match="the solution is theta_0 itself"):
        landscape(reopened(run.start, copy.deepcopy(run.start), run.task), points=3)
    one = Subspace(nn.Linear(8, 3), projection=intrinsic.Dense, dim=1)
    with pytest.raises(UserError, match="need two trainable parameters or more for a plane, got 1"):
        landscape(reopened(one, one, run.task), points=3)
    start = intrinsic.Redrawn(nn.Linear(8, 3), every=1, projection=intrinsic.Dense, dim=5)
    net = copy.deepcopy(start)
    with torch.no_grad():
        net.z.fill_(1)
        net.redraw()
        net.z.fill_(1)
    with pytest.raises(UserError, match="redraw has moved theta_0 before z was what it is"):
        landscape(reopened(start, net, run.task), points=3)
