"""Nets that are trained at once."""

import torch
from torch import nn

from intrinsic.tasks.task import Split, classification
from intrinsic.training.fit import fit
from intrinsic.training.fit_replicas import fit_replicas
from intrinsic.training.rate_groups import rate_factors, rate_groups

SEEDS, LRS = [3, 1, 3, 2], [0.05, 0.01, 0.01, 0.05]  # not sorted, each learning rate twice


class Moving(nn.Module):
    """A buffer that is assigned to and not written in place, and one module's weight in two places."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.register_buffer("mean", torch.zeros(16))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return self.second(self.first(x - self.mean).relu())


def network(seed):
    torch.manual_seed(seed)
    # no bias before BatchNorm: its gradient is nothing but rounding, which Adam scales up
    first = nn.Linear(6, 16, bias=False)
    return nn.Sequential(first, nn.BatchNorm1d(16), nn.ReLU(), Moving(), nn.Linear(16, 2)).double()


def task(n=50):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(3, n, 6, generator=generator, dtype=torch.float64)
    targets = (inputs[..., 0] > inputs[..., 1]).long()
    return classification(*(Split(*both) for both in zip(inputs, targets, strict=True)), num_outputs=2)


def both(make, optimizer=torch.optim.Adam, *, seeds=SEEDS, lrs=LRS, of=network, data=None, groups=None, **options):
    """Nets and histories of separate runs, and of replicas."""
    options = {"epochs": 3, "batch_size": 16} | options
    data = data or task()
    alone = [make(of(seed), seed=seed) for seed in seeds]
    histories = [
        list(fit(net, data, optimizer(_groups(net, groups, lr)), seed=seed, **options))
        for net, seed, lr in zip(alone, seeds, lrs, strict=True)
    ]
    together = [make(of(seed), seed=seed) for seed in seeds]
    found = [[] for _ in seeds]
    before = torch.get_rng_state()
    for index, epoch, last in fit_replicas(
        together,
        data,
        optimizer_of(optimizer, lrs, len(set((groups or {}).values())) + 1),
        lrs=lrs,
        seeds=seeds,
        factors=groups and rate_factors(together[0], groups),
        **options,
    ):
        found[index].append(epoch)
        assert last == (len(found[index]) == len(histories[index]))
    assert torch.equal(torch.get_rng_state(), before)
    return (alone, histories), (together, found)


def _groups(net, groups, lr):
    parameters = dict(net.named_parameters())
    return rate_groups(parameters, rate_factors(net, groups or {}), lr)


def optimizer_of(optimizer, lrs, count=1):
    def make(groups):
        assert len(groups) == count * len(set(lrs))
        if count == 1:
            assert [group["lr"] for group in groups] == sorted(set(lrs))
        return optimizer(groups, lr=1e9)  # the groups have their own

    return make
