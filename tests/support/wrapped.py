"""Nets around which every space is put."""

import pytest
import torch
from torch import nn

import intrinsic

SPACES = {
    "lora": lambda: intrinsic.LoRA(2, targets=["1"]),
    "adapter": lambda: intrinsic.Adapter(2, targets=["1"]),
    "both": lambda: intrinsic.Union([intrinsic.LoRA(2, targets=["1"]), intrinsic.Adapter(2, targets=["1"])]),
}


every_space = pytest.mark.parametrize("space", SPACES)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def stir(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    return model


X = torch.linspace(-1, 1, 18).view(3, 6)
