"""A net with layers of several kinds, and its gradient without views."""

import torch
from torch import nn
from torch.func import functional_call, grad
from torch.utils.checkpoint import checkpoint

import intrinsic

DIM = 20


class Net(nn.Module):
    """Two layers of which the second is used twice, and which may be checkpointed; an unused and a tied weight."""

    def __init__(self, reentrant=None):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.unused = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(3, 3)
        self.tied = nn.Linear(6, 8, bias=False)
        self.tied.weight = self.first.weight
        self.dropout, self.reentrant = nn.Dropout(0.5), reentrant

    def part(self, x):
        return self.dropout(self.second(x).tanh())

    def forward(self, x):
        hidden = self.first(x) * self.tied(x)
        for _ in range(2):
            hidden = (
                self.part(hidden)
                if self.reentrant is None
                else checkpoint(self.part, hidden, use_reentrant=self.reentrant)
            )
        return hidden


def coordinates(net):
    return dict(net.named_parameters())


def inputs(dtype=torch.float64):
    return torch.linspace(-1, 1, 30, dtype=dtype).view(5, 6)


def flat_gradient(net, x):
    net.zero_grad()
    torch.manual_seed(1)
    net(x).square().sum().backward()
    return {name: parameter.grad.clone() for name, parameter in coordinates(net).items()}


def subspace(projection=intrinsic.Fastfood, dtype=torch.float64, scales=None, stream=False, **options):
    net = intrinsic.Subspace(Net(**options).to(dtype), projection=projection, dim=DIM, scales=scales, stream=stream)
    with torch.no_grad():
        net.z.copy_(torch.linspace(-1, 1, len(net.z)))
        if scales:
            net.lambdas.copy_(torch.linspace(0.5, 2, len(net.lambdas)))
    return net


def functional_gradient(net, x):
    """By torch.func, which sees no buffers."""
    torch.manual_seed(1)
    given = {name: parameter.detach() for name, parameter in coordinates(net).items()}
    return grad(lambda given: functional_call(net, given, (x,)).square().sum())(given)
