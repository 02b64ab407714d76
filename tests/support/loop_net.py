"""A net with what other people's loops meet."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import intrinsic

DIM = 20


class Net(nn.Module):
    """BatchNorm and its statistics, a constant buffer, and a part that may be checkpointed."""

    def __init__(self, checkpointed=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.second = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Linear(16, 16)
        self.head, self.checkpointed = nn.Linear(16, 3), checkpointed
        self.register_buffer("constant", torch.ones(100), persistent=False)

    def forward(self, x):
        hidden = self.norm(self.first(x)).tanh()
        part = lambda hidden: self.second(hidden).tanh()  # noqa: E731
        return self.head(checkpoint(part, hidden, use_reentrant=False) if self.checkpointed else part(hidden))


def subspace(model=None, seed=0, **options):
    options = {"projection": intrinsic.Fastfood, "dim": DIM} | options
    return intrinsic.Subspace(Net() if model is None else model, seed=seed, **options)


def batches(count=8, size=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, 6, generator=generator).to(dtype), torch.randint(3, (size,), generator=generator))
        for _ in range(count)
    ]
