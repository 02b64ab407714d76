"""Nets whose steps can be counted by hand."""

from functools import partial

import torch
from torch import nn

import intrinsic
from intrinsic.models.hugging_face.frame import reading
from tests.support.tiny_transformers import tiny

ADAM = partial(torch.optim.Adam, fused=True)  # one that is not takes room for temporaries of its own

N, IN, WIDE, OUT = 16, 12, 24, 5


def two_layers(n_in=IN, wide=WIDE, out=OUT):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n_in, wide), nn.ReLU(), nn.Linear(wide, out))


def text_net(layers=4, **options):
    """A tiny BERT of our inputs, inside a subspace."""
    model = tiny("bert", num_hidden_layers=layers)
    model = reading(model, "float32")
    return intrinsic.Subspace(model, **options)


def squares(outputs, targets):
    return ((outputs - targets) ** 2).mean()


def data(n=N, n_in=IN, out=OUT):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, n_in, generator=generator), torch.randn(n, out, generator=generator)
