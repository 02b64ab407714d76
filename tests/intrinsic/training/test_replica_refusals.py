"""Nets that cannot be trained at once: one line each."""

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.training.fit_replicas import fit_replicas
from tests.support.replica_nets import task


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epochs": 0}, "need an integer epochs >= 1, got epochs=0"),
        ({"lrs": [0.1]}, "need a lr and a seed for each net, got 2 nets, 1 lrs, 2 seeds"),
        ({"seeds": []}, "need a lr and a seed for each net, got 2 nets, 2 lrs, 0 seeds"),
        ({"make_optimizer": torch.optim.Adafactor}, "need one of Adam, AdamW, SGD as optimiser, got Adafactor: use"),
        ({"nets": [nn.Linear(6, 2), nn.Linear(6, 2, bias=False)]}, "replicas need nets made alike, got .*bias"),
        ({"nets": [Branching(6, 2), Branching(6, 2)]}, "Branching cannot be replicated: .*data-dependent"),
    ],
)
def test_what_cannot_be_replicated(change, match):
    options = {"lrs": [0.1, 0.1], "seeds": [0, 1], "epochs": 1, "batch_size": 8, "make_optimizer": torch.optim.SGD}
    options |= {"nets": [nn.Linear(6, 2), nn.Linear(6, 2)]} | change
    nets = [intrinsic.Subspace(net.double()) for net in options.pop("nets")]
    with pytest.raises(intrinsic.UserError, match=match):
        list(fit_replicas(nets, task(), **options))
