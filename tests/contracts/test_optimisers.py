"""Optimisers and schedules: one contract for every file in conf/optim and conf/schedule."""

import copy

import pytest
import torch

from experiments.config.build import build
from tests.support.configs import composed, names

every_optimiser = pytest.mark.parametrize("name", names("optim"))
LR = 0.01


def optimiser(name, z):
    return build(composed(f"optim={name}", f"lr={LR}")["optim"], "optim")([z])


def steps(made, z, count):
    for _ in range(count):
        made.zero_grad()
        ((z - 1) ** 2).sum().backward()
        made.step()


@every_optimiser
def test_it_goes_down(name):
    z = torch.zeros(3, requires_grad=True)
    steps(optimiser(name, z), z, 20)
    assert ((z - 1) ** 2).sum() < 3


@every_optimiser
def test_it_goes_on_where_it_was(name):
    """As a run does that was killed: by its state."""
    z, again = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    made, stopped = optimiser(name, z), optimiser(name, again)
    steps(made, z, 5)
    steps(stopped, again, 2)
    resumed = optimiser(name, again)
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    steps(resumed, again, 3)
    assert torch.equal(z, again)


@pytest.mark.parametrize("name", [name for name in names("schedule") if name != "constant"])
def test_rates_stay_between_zero_and_the_first(name):
    node = composed(f"schedule={name}", "epochs=4")["schedule"]
    made = torch.optim.SGD([torch.zeros(3, requires_grad=True)], lr=LR)
    scheduler = build({key: value for key, value in node.items() if key != "interval"}, "schedule")(made)
    for _ in range(4):
        assert 0 <= made.param_groups[0]["lr"] <= LR
        made.step()
        scheduler.step()
    assert made.param_groups[0]["lr"] <= LR
