"""Sizes of models: as published, and by formulas."""

from functools import partial

import pytest

from intrinsic.models.atari import Atari
from intrinsic.models.fc_lenet import FCLeNet
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP
from intrinsic.models.resnet20 import ResNet20
from intrinsic.models.squeezenet import SqueezeNet
from intrinsic.models.sums import Sums
from intrinsic.models.untied_lenet import UntiedLeNet
from intrinsic.models.vit import ViT


def size(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (partial(MLP, (1, 28, 28), depth=2, width=200, dropout=0.0), 199_210),
        (partial(MLP, (3, 32, 32), depth=2, width=200, dropout=0.0), 656_810),
        (partial(MLP, (1, 28, 28), depth=5, width=400, dropout=0.0), 959_610),
        (partial(LeNet, (1, 28, 28)), 44_426),
        (partial(LeNet, (3, 32, 32)), 62_006),
        (partial(UntiedLeNet, (1, 28, 28)), 286_334),
        (partial(FCLeNet, (1, 28, 28)), 3_640_574),
        (partial(ResNet20, (3, 32, 32)), 269_722),
        (partial(Sums, (1,), full_dim=1000), 1000),
    ],
)
def test_published_sizes(model, expected):
    assert size(model(num_outputs=10)) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (partial(MLP, (4,), 2, depth=2, width=20, dropout=0.0), 562),
        (partial(MLP, (4,), 2, depth=2, width=400, dropout=0.0), 163_202),
        (partial(MLP, (376,), 17, depth=2, width=256, dropout=0.0), 166_673),  # humanoid
        (partial(Atari, (4, 84, 84), 6), 1_005_974),  # Pong
        (partial(SqueezeNet, (3, 224, 224), 1000, dropout=0.5), 1_248_424),  # ImageNet
    ],
)
def test_published_sizes_of_others(model, expected):
    assert size(model()) == expected


@pytest.mark.parametrize(("channels", "outputs"), [(1, 10), (3, 10), (3, 100)])
def test_resnet20_size_by_formula(channels, outputs):
    def stage(before, width):  # six convolutions of 3 x 3, each with scale and shift
        return 9 * before * width + 5 * 9 * width * width + 6 * 2 * width

    stem, head = 9 * channels * 16 + 2 * 16, 64 * outputs + outputs
    expected = stem + stage(16, 16) + stage(16, 32) + stage(32, 64) + head
    assert size(ResNet20((channels, 32, 32), outputs)) == expected


def test_vit_size_by_formula():
    width, tokens, depth = 16, 1 + 16, 3
    block = 4 * (width * width + width) + (4 * width * width + 4 * width) + (4 * width * width + width) + 2 * 2 * width
    expected = (4 * width + width) + width + tokens * width + depth * block + 2 * width + (width * 10 + 10)
    assert size(ViT((1, 8, 8), 10, patch=2, width=width, depth=depth, heads=4, dropout=0.0)) == expected


# Mistakes
