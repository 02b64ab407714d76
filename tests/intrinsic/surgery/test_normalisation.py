"""Which layers normalise: those of torch by their class, others by what they return."""

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.errors import UserError
from intrinsic.surgery.normalisation import normalisation_layers


class Channels(nn.Module):
    """Over the channels of an image, as some convolutional networks have it."""

    def __init__(self, width):
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.full((width,), 0.5)), nn.Parameter(torch.ones(width))

    def forward(self, x):
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return self.gain[:, None, None] * scaled + self.shift[:, None, None]


class Scale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * x


class Constant(Scale):
    def forward(self, x):
        return self.weight.expand_as(x)


def found(*layers):
    return [name for name, _ in normalisation_layers(nn.Sequential(*layers))]


def test_layers_of_torch():
    layers = [nn.BatchNorm1d(4), nn.SyncBatchNorm(4), nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4)]
    assert found(*layers, nn.LayerNorm((3, 4)), nn.RMSNorm(4), nn.Linear(4, 4)) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_others_by_what_they_do(dtype):
    layers = [Channels(4), Scale(4), nn.PReLU(4), Constant(4), nn.Linear(4, 4), nn.Bilinear(1, 1, 1)]
    assert found(*(layer.to(dtype) for layer in layers)) == ["0"]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "count", "last"), [("llama", 5, "model.norm"), ("t5", 12, "final_layer_norm")])
def test_root_mean_squares_of_transformers(family, count, last):
    transformers_nets = pytest.importorskip("tests.support.tiny_transformers", exc_type=ImportError)
    names = [name for name, _ in normalisation_layers(transformers_nets.tiny(family))]
    assert len(names) == count
    assert names[-1].endswith(last)


def test_coordinates_and_what_has_none():
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 2))
    net = intrinsic.Subspace(model, space=intrinsic.Norms(), head="train")
    assert net.coordinate_names == ["1.weight", "1.bias"]
    assert net.count()["trained"] == 8 + 10
    with pytest.raises(UserError, match=r"^space norms needs layers that normalise, Linear has none: use space=b"):
        intrinsic.Subspace(nn.Linear(3, 2), space=intrinsic.Norms())
