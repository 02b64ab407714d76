"""The published task whose intrinsic dimension is known: ten constraints, so ten (Li et al. 2018, section 2)."""

from functools import cache, partial

import pytest
import torch

import intrinsic
from experiments.config.build import build
from intrinsic.data.toy import toy
from intrinsic.models.sums import Sums
from intrinsic.training.fit import fit
from tests.support.configs import composed, names

RANDOM = [name for name in names("projection") if name != "identity"]
random_projections = pytest.mark.parametrize("name", RANDOM)
SOLVED = 1e-6  # of the squared error, which is 38.5 at the start
LARGEST_CONDITION = 150  # Adam's steps to a solution grow with the condition of the constraints on z


@cache
def constructor(name):
    return build(composed("method=subspace", f"projection={name}")["projection"], "projection")


def subspace(name, dim, seed):
    model = Sums((1,), 10, full_dim=1000)
    return intrinsic.Subspace(model, projection=constructor(name), dim=dim, seed=seed)


def constraints(net):
    """The (10, dim) matrix A P: the sums as a function of z."""
    return net.projection(torch.eye(net.dim, dtype=torch.float64)).T.reshape(10, 100, net.dim).sum(1)


@random_projections
def test_nine_coordinates_cannot_solve_it(name):
    """The least loss that any training could reach, by least squares."""
    target = torch.arange(1.0, 11.0, dtype=torch.float64)[:, None]
    for dim in range(1, 10):
        losses = []
        for seed in range(10):
            A = constraints(subspace(name, dim, seed))
            losses.append((A @ torch.linalg.lstsq(A, target, driver="gelsd").solution - target).square().mean().item())
        assert min(losses) > 10 * SOLVED
        assert sorted(losses)[5] > 0.1


# few waves over the weights have sums that are multiples of one another, and few single weights leave sums out
SINGULAR = [*(("dct", dim) for dim in (9, 10, 15)), ("select", 9), ("select", 10)]
DAY = [("fastfood", 10)]  # that fewer cannot is shown without training, above


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dim"),
    [
        pytest.param(name, dim, marks=() if (name, dim) in DAY else pytest.mark.nightly)
        for name in RANDOM
        for dim in (9, 10, 15)
        if (name, dim) not in SINGULAR
    ],
)
def test_training_solves_it_from_ten_on(name, dim):
    nets = (subspace(name, dim, seed) for seed in range(20))
    net = next(net for net in nets if torch.linalg.cond(constraints(net)) < LARGEST_CONDITION)
    task = toy(steps=500)
    optimizer = torch.optim.Adam(net.parameters(), lr=3.0)
    schedule = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=12)
    *_, last = fit(net, task, optimizer, epochs=12, batch_size=1, seed=0, schedule=schedule)
    if dim >= 10:
        assert last.test["loss"] < SOLVED
        assert last.test["performance"] > 1 - SOLVED
    else:
        assert last.test["loss"] > 10 * SOLVED
