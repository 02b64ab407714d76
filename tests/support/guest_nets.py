"""Nets around a small model, and its outputs."""

import torch
from torch import nn

import intrinsic

X = torch.linspace(-1, 1, 24).view(4, 6)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def subspace(model, seed=0, z=0.7, projection=intrinsic.Fastfood, dim=20):
    net = intrinsic.Subspace(model, projection=projection, dim=dim, seed=seed)
    with torch.no_grad():
        net.z.fill_(z)
    return net
