"""Learning rates by parameter group."""

from functools import partial

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.errors import UserError
from intrinsic.training.learning_rates import LearningRates
from intrinsic.training.rate_groups import rate_factors, rate_groups


def net(**options):
    torch.manual_seed(0)
    return intrinsic.Subspace(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), **options)


LORA = partial(net, space=intrinsic.LoRA(rank=2), head="train")


def test_factors_by_parts_of_names():
    factors = rate_factors(LORA(), {"lora_B": 16, "head": 0.5})
    assert factors == {"model.0.lora_A": 1, "model.0.lora_B": 16, "model.2.weight": 0.5, "model.2.bias": 0.5}
    said = net(projection=intrinsic.OneHot, dim=9, scales="layer")
    assert rate_factors(said, {"lambdas": 0.1}) == {"z": 1, "lambdas": 0.1}


def test_a_step_of_each_group_is_its_rate():
    """Adam's first step is the rate itself, whatever the gradient."""
    trained = LORA()
    parameters = dict(trained.named_parameters())
    factors = rate_factors(trained, {"lora_B": 16, "head": 0.5})
    optimizer = torch.optim.Adam(rate_groups(parameters, factors, 0.01))
    before = {name: p.detach().clone() for name, p in parameters.items()}
    for p in parameters.values():
        p.grad = torch.ones_like(p)
    optimizer.step()
    for name, p in parameters.items():
        torch.testing.assert_close(before[name] - p, torch.full_like(p, 0.01 * factors[name]), rtol=1e-4, atol=1e-7)


def test_one_rate_is_one_group():
    trained = LORA()
    (group,) = rate_groups(dict(trained.named_parameters()), rate_factors(trained, {}), 0.1)
    assert group["params"] == list(trained.parameters())


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ({"lambdas": 2}, "nothing of that name is trained: there is lora_A, lora_B, weight, bias$"),
        ({"lora_B": 0}, "need lr_groups.lora_B > 0, got lr_groups.lora_B=0"),
        ({"lora_B": "x"}, "need a finite lr_groups.lora_B"),
        ({"head": 2, "weight": 3}, "has model.2.weight twice, in head and in weight: leave one out"),
        ([1], r"need lr_groups as names with factors, got lr_groups=\[1\]"),
    ],
)
def test_refusals(groups, match):
    with pytest.raises(UserError, match=match):
        rate_factors(LORA(), groups)


def test_a_schedule_of_one_rate_for_all_is_refused():
    trained = LORA()
    groups = rate_groups(dict(trained.named_parameters()), rate_factors(trained, {"lora_B": 16}), 0.01)
    schedules = torch.optim.lr_scheduler
    optimizer = torch.optim.Adam(groups)
    LearningRates(optimizer, partial(schedules.CosineAnnealingLR, T_max=5), steps=3)
    with pytest.raises(UserError, match="OneCycleLR sets one rate for all groups"):
        LearningRates(optimizer, partial(schedules.OneCycleLR, max_lr=0.1, epochs=2), steps=3)
