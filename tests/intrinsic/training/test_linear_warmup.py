"""A learning rate that rises and falls from step to step."""

from functools import partial

import pytest
import torch

import intrinsic
from intrinsic.errors import UserError
from intrinsic.tasks.task import Split, classification
from intrinsic.training.fit import fit
from intrinsic.training.fit_replicas import fit_replicas
from intrinsic.training.linear_warmup import LinearWarmup


def expected(t, total, warm):
    return min((t + 1) / (warm + 1), (total - t) / (total - warm))


def task():
    split = Split(torch.rand(10, 3, generator=torch.Generator().manual_seed(0)), torch.arange(10) % 2)
    return classification(split, split, split, num_outputs=2)


class Noting(torch.optim.SGD):
    """Notes the rate of each step."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rates = []

    def step(self, *args, **kwargs):
        self.rates.append(self.param_groups[0]["lr"])
        return super().step(*args, **kwargs)


def net():
    torch.manual_seed(0)
    return intrinsic.Subspace(torch.nn.Linear(3, 2))


@pytest.mark.parametrize("warmup", [0, 0.1, 0.5])
def test_each_step_has_its_rate(warmup):
    """4 epochs of 10 examples in batches of 4: 12 steps; also when taken up after 2 epochs."""
    wanted = [0.5 * expected(t, 12, 12 * warmup) for t in range(12)]
    assert max(wanted) <= 0.5
    assert min(wanted) > 0
    model = net()
    optimizer = Noting(model.parameters(), lr=0.5)
    schedule = partial(LinearWarmup, epochs=4, warmup=warmup)
    options = {"epochs": 4, "batch_size": 4, "seed": 0, "schedule": schedule}
    history = list(fit(model, task(), optimizer, **options))
    assert optimizer.rates == pytest.approx(wanted)
    later = Noting(model.parameters(), lr=0.5)
    list(fit(model, task(), later, **options, history=history[:2]))
    assert later.rates == optimizer.rates[6:]


def test_replicas_have_the_same():
    schedule = partial(LinearWarmup, epochs=3, warmup=0.25)
    options = {"epochs": 3, "batch_size": 4, "schedule": schedule}
    alone = list(fit(model := net(), task(), torch.optim.SGD(model.parameters(), lr=0.5), seed=7, **options))
    together = list(fit_replicas([net()], task(), partial(torch.optim.SGD, lr=0.0), lrs=[0.5], seeds=[7], **options))
    assert [e.validation["loss"] for _, e, _ in together] == pytest.approx([e.validation["loss"] for e in alone])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": 0, "warmup": 0.1}, "schedule: need an integer epochs >= 1, got epochs=0"),
        ({"epochs": 3, "warmup": 1}, "schedule: need 0 <= warmup < 1, got warmup=1"),
        ({"epochs": 3, "warmup": "abc"}, "schedule: need 0 <= warmup < 1, got warmup='abc'"),
    ],
)
def test_bad_numbers(options, match):
    with pytest.raises(UserError, match=match):
        LinearWarmup(torch.optim.SGD([torch.zeros(1)], lr=0.1), **options)
