"""Nets whose embedding has a row of padding, and texts that are padded."""

import torch
from torch import nn

import intrinsic

PADDING = 3
TEXTS = torch.randint(4, 20, (8, 7), generator=torch.Generator().manual_seed(0))
TEXTS[:, 4:] = PADDING
LABELS = torch.arange(8) % 2


class Mean(nn.Module):
    """The mean over all places, padding included: what stands in its row counts."""

    def __init__(self, tied=False):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.table, self.last = nn.Embedding(20, 6, padding_idx=PADDING), nn.Linear(6, 20 if tied else 2)
        nn.init.normal_(self.table.weight)
        if tied:
            self.last.weight = self.table.weight

    def forward(self, texts):
        return self.last(self.table(texts).mean(1))


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(20, 2, padding_idx=PADDING, mode="mean")

    def forward(self, texts):
        return self.table(texts)


def make(model=Mean, *, dtype=torch.float64, **options):
    torch.manual_seed(1)
    net = intrinsic.Subspace(model().to(dtype), **{"projection": intrinsic.Fastfood, "dim": 10, "seed": 0} | options)
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.add_(torch.linspace(-0.5, 0.7, parameter.numel()).view_as(parameter) * (1 + number))
    return net


def loss(net):
    return nn.functional.cross_entropy(net(TEXTS), LABELS)
