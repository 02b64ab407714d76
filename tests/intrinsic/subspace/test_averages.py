"""Averages of a net's trained numbers over steps, by torch's AveragedModel."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import intrinsic

METHODS = {
    "z": {"projection": intrinsic.OneHot, "dim": 5},
    "scales": {"projection": intrinsic.Fastfood, "dim": 9, "scales": "layer"},
    "head": {"projection": intrinsic.OneHot, "dim": 5, "head": "train"},
    "lora": {"space": intrinsic.LoRA(1)},
    "unilora": {"space": intrinsic.LoRA(1), "projection": intrinsic.OneHot, "dim": 5},
    "bitfit": {"space": intrinsic.BitFit()},
    "full": {},
}


class Net(nn.Module):
    """Square layers: a parameter in another's place shows in no shape."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.head = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8)

    def forward(self, x):
        return self.head(self.norm(self.first(x)).tanh())


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_an_averaged_model_is_the_net_at_the_mean(name, use_buffers):
    net = intrinsic.Subspace(Net().double(), **METHODS[name]).eval()
    base = {key: tensor.clone() for key, tensor in net.model.state_dict().items()}
    mean = AveragedModel(net, use_buffers=use_buffers)
    moving = AveragedModel(net, use_buffers=use_buffers, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    expected, generator = [], torch.Generator().manual_seed(0)
    trained = {key for key, _ in net.named_parameters()}
    for _ in range(4):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        for average in (mean, moving):
            average.update_parameters(net)
        expected.append([parameter.detach().clone() for parameter in net.parameters()])
    x = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    weights = {mean: [1 / 4] * 4, moving: [0.75**3, 0.25 * 0.75**2, 0.25 * 0.75, 0.25]}
    for average, shares in weights.items():
        other = copy.deepcopy(net)
        with torch.no_grad():
            for parameter, *steps in zip(other.parameters(), *expected, strict=True):
                parameter.copy_(sum(share * step for share, step in zip(shares, steps, strict=True)))
        torch.testing.assert_close(average(x), other(x), atol=1e-12, rtol=1e-12)
        assert {key for key, _ in average.module.named_parameters()} == trained
        frozen = {
            key: tensor for key, tensor in average.module.model.state_dict().items() if f"model.{key}" not in trained
        }
        assert frozen
        assert all(torch.equal(tensor, base[key]) for key, tensor in frozen.items())


@pytest.mark.parametrize("use_buffers", [False, True])
def test_coordinates_of_several_p_have_no_average(use_buffers):
    net = intrinsic.Redrawn(Net(), every=3, projection=intrinsic.OneHot, dim=5)
    average = AveragedModel(net, use_buffers=use_buffers)
    with pytest.raises(intrinsic.UserError, match="an average over steps is of one P, and redraw changes it"):
        average.update_parameters(net)
