"""What each model computes and how it starts, against naive versions."""

from functools import partial

import pytest
import torch
from torch import nn

from intrinsic.models.fc_lenet import FCLeNet
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP
from intrinsic.models.resnet20 import ResNet20
from intrinsic.models.sums import Sums
from intrinsic.models.untied_lenet import UntiedLeNet
from intrinsic.models.vit import ViT


def images(shape, count=4, dtype=torch.float32):
    return torch.rand(count, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


PLAIN = [partial(MLP, depth=2, width=50, dropout=0.0), LeNet, UntiedLeNet, FCLeNet, ResNet20]


@pytest.mark.parametrize("construct", PLAIN)
def test_weights_are_kaiming_normal_and_biases_zero(construct):
    torch.manual_seed(0)
    for key, parameter in construct((1, 28, 28), 10).named_parameters():
        if "norm" in key:
            continue
        if key.endswith("bias"):
            assert not parameter.any()
        else:
            ratio = parameter.std() / (2 / parameter[0].numel()) ** 0.5
            assert abs(ratio - 1) < 5 / (2 * parameter.numel()) ** 0.5  # five standard errors of a standard deviation


def test_mlp_formula():
    model = MLP((1, 3, 3), 4, depth=2, width=5, dropout=0.5).double().eval()
    x = images((1, 3, 3), dtype=torch.float64)
    first, second = model.hidden
    hidden = torch.relu(x.reshape(4, 9) @ first.weight.T + first.bias)
    hidden = torch.relu(hidden @ second.weight.T + second.bias)
    torch.testing.assert_close(model(x), hidden @ model.head.weight.T + model.head.bias)


def test_lenet_layers_see_the_published_sizes():
    model = LeNet((1, 28, 28), 10)
    assert [tuple(parameter.shape) for parameter in model.parameters() if parameter.ndim > 1] == [
        (6, 1, 5, 5),
        (16, 6, 5, 5),
        (120, 256),
        (84, 120),
        (10, 84),
    ]
    LeNet((1, 16, 16), 10)(images((1, 16, 16)))


def test_resnet20_shortcuts_are_option_a():
    block = ResNet20((3, 32, 32), 10).blocks[3].eval()  # the first of the second stage
    nn.init.zeros_(block.norm2.weight)  # leaves the shortcut
    x = images((16, 9, 9))
    expected = torch.zeros(4, 32, 5, 5)
    expected[:, :16] = x[:, :, ::2, ::2]
    torch.testing.assert_close(block(x), expected)


def test_resnet20_running_statistics_follow_the_mode():
    model, x = ResNet20((1, 8, 8), 10), images((1, 8, 8))
    model.eval()(x)
    assert not model.norm.running_mean.any()
    model.train()(x)
    assert model.norm.running_mean.any()


def test_vit_attention_is_softmax_attention():
    attention = ViT((1, 8, 8), 10, patch=2, width=12, depth=1, heads=3, dropout=0.0).double().blocks[0].attention
    x = images((5, 12), dtype=torch.float64)
    query, key, value = attention.query(x), attention.key(x), attention.value(x)
    mixed = torch.zeros(4, 5, 12, dtype=torch.float64)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        weights = torch.softmax(query[..., part] @ key[..., part].mT / 4**0.5, dim=-1)
        mixed[..., part] = weights @ value[..., part]
    torch.testing.assert_close(attention(x), attention.output(mixed))


def test_vit_modules_that_adapters_look_for():
    model = ViT((1, 8, 8), 10, patch=2, width=12, depth=2, heads=3, dropout=0.0)
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    leaves = ["attention.query", "attention.key", "attention.value", "attention.output", "up", "down"]
    assert linears == [f"blocks.{block}.{leaf}" for block in range(2) for leaf in leaves] + ["head"]


@pytest.mark.parametrize(
    "construct", [partial(MLP, depth=1, width=50), partial(ViT, patch=2, width=12, depth=1, heads=3)]
)
def test_dropout_acts_in_training_only(construct):
    torch.manual_seed(0)
    model, x = construct((1, 8, 8), 10, dropout=0.5), images((1, 8, 8))
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_sums_are_of_consecutive_parameters():
    model = Sums((1,), 3, full_dim=6)
    model.load_state_dict({"weight": torch.tensor([1.0, 2, 4, 8, 16, 32])})
    assert model(torch.zeros(2, 1)).tolist() == [[3, 12, 48]] * 2


def test_untied_lenet_has_a_kernel_for_each_pixel():
    layer, x = UntiedLeNet((2, 18, 17), 10).double().conv1, images((2, 18, 17), dtype=torch.float64)
    nn.init.normal_(layer.bias)
    outputs = layer(x)
    assert outputs.shape == (4, 6, 14, 13)
    kernels, biases = layer.weight.view(14, 13, 6, 2, 5, 5), layer.bias.view(14, 13, 6)
    for row, column in ((0, 0), (3, 7), (13, 12)):
        patch = x[:, :, row : row + 5, column : column + 5]
        naive = (patch[:, None] * kernels[row, column]).sum((2, 3, 4)) + biases[row, column]
        torch.testing.assert_close(outputs[:, :, row, column], naive)


@pytest.mark.parametrize("construct", [UntiedLeNet, FCLeNet])
def test_lenets_controls_can_be_lenet(construct):
    """With the weights of a convolution in their places they are LeNet."""
    shape = (2, 20, 16)
    lenet, control, x = LeNet(shape, 10).double(), construct(shape, 10).double(), images(shape, dtype=torch.float64)
    state = control.state_dict()
    for name, sides in (("conv1", (20, 16)), ("conv2", (8, 6))):
        conv = getattr(lenet, name)
        nn.init.normal_(conv.bias)
        pixels = (sides[0] - 4) * (sides[1] - 4)
        if construct is UntiedLeNet:
            state[f"{name}.weight"] = conv.weight.flatten(1).repeat(pixels, 1)
            state[f"{name}.bias"] = conv.bias.repeat(pixels)
        else:
            basis = torch.eye(conv.in_channels * sides[0] * sides[1]).double().unflatten(1, (conv.in_channels, *sides))
            state[f"{name}.weight"] = torch.conv2d(basis, conv.weight).flatten(1).T
            state[f"{name}.bias"] = conv.bias.repeat_interleave(pixels)
    rest = {name: tensor for name, tensor in lenet.state_dict().items() if not name.startswith("conv")}
    control.load_state_dict(state | rest)
    torch.testing.assert_close(control(x), lenet(x))
