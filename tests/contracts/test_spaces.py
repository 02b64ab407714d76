"""Spaces: one contract for every file in conf/space, then LoRA's layers against their formula, and its targets."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from intrinsic.layers.low_rank import LAYERS, LowRank, low_rank
from intrinsic.spaces.lora import LoRA
from intrinsic.surgery.head import find_head
from intrinsic.surgery.targets import find_targets
from intrinsic.testing import check_space
from tests.support.configs import composed, names

every_space = pytest.mark.parametrize("name", names("space"))


def space(name):
    """The space of a config file."""
    return build(composed(f"space={name}")["space"], "space")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 7), nn.ReLU(), nn.Linear(7, 4))


@every_space
def test_contract(name):
    """What `intrinsic.testing.check_space` checks."""
    check_space(space(name))


LAYER_CASES = {
    "linear": (lambda: nn.Linear(6, 5), lambda: torch.rand(3, 6)),
    "linear without bias, batch of sequences": (lambda: nn.Linear(6, 5, bias=False), lambda: torch.rand(2, 3, 6)),
    "convolution": (lambda: nn.Conv2d(2, 5, (3, 2), stride=2, padding=1), lambda: torch.rand(3, 2, 8, 8)),
    "dilated, padded in a circle": (
        lambda: nn.Conv2d(2, 5, 3, dilation=2, padding=2, padding_mode="circular"),
        lambda: torch.rand(3, 2, 8, 8),
    ),
    "embedding": (lambda: nn.Embedding(6, 5), lambda: torch.tensor([[0, 5], [3, 3]])),
}


@pytest.mark.parametrize("case", LAYER_CASES)
def test_low_rank_layers_follow_the_formula(case):
    make, example = LAYER_CASES[case]
    base, x = make().double(), example()
    x = x.double() if x.is_floating_point() else x
    layer = low_rank(base, 2, 3.0, seed=1)
    torch.testing.assert_close(layer(x), base(x), atol=0, rtol=0)
    with torch.no_grad():
        layer.lora_A.normal_()
        layer.lora_B.normal_()
    A, B, W = layer.lora_A.detach(), layer.lora_B.detach(), base.weight.detach()
    product = torch.einsum("or,ri->oi", B.flatten(1), A.flatten(1))  # the naive B A, on flattened kernels
    expected = W + 3.0 * (product.T if isinstance(base, nn.Embedding) else product.view_as(W))
    torch.testing.assert_close(layer.weight.detach(), expected)
    plain = copy.deepcopy(base)
    plain.weight.data = expected
    torch.testing.assert_close(layer(x), plain(x))


def test_every_layer_kind_has_a_case():
    kinds = {type(make()) for make, _ in LAYER_CASES.values()}
    assert kinds == set(LAYERS)


def test_a_subclass_that_reads_the_weight_sees_the_update():
    """nn.MultiheadAttention never calls its output projection: it reads the weight."""
    torch.manual_seed(0)
    attention = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), nn.Linear(8, 3))
    x = torch.rand(2, 4, 8)
    net = intrinsic.Subspace(attention, space=LoRA(2, targets=r".*out_proj"))
    before = net(x)
    with torch.no_grad():
        net.model.get_parameter("0.self_attn.out_proj.lora_B").normal_()
    after = net(x)
    assert not torch.allclose(before, after)
    after.sum().backward()
    assert net.model.get_parameter("0.self_attn.out_proj.lora_A").grad.abs().sum() > 0
    torch.testing.assert_close(net.merge().train()(x), after)


def test_grouped_convolutions_are_refused_before_anything_is_swapped():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(intrinsic.UserError, match="groups=2"):
        LoRA(2, targets=".*").wire(model, seed=0)
    assert not any(isinstance(module, LowRank) for module in model.modules())


def test_factors_start_as_in_the_paper():
    layer = low_rank(nn.Linear(400, 300), 8, 1.0, seed=0)
    bound = 1 / 400**0.5  # Kaiming-uniform with a = sqrt(5)
    assert layer.lora_A.shape == (8, 400)
    assert 0.99 * bound < layer.lora_A.abs().max() <= bound
    assert abs(layer.lora_A.std() / (bound / 3**0.5) - 1) < 0.05
    assert not layer.lora_B.any()


@pytest.mark.parametrize(("rslora", "scaling"), [(False, 16 / 4), (True, 16 / 2)])
def test_scaling(rslora, scaling):
    model = network()
    LoRA(4, alpha=16.0, rslora=rslora).wire(model, seed=0)
    assert model[3].scaling == scaling


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"q": nn.Linear(4, 4), "kq": nn.Linear(4, 4)}) for _ in range(2))
        self.mlp = nn.ModuleDict({"q": nn.Linear(4, 4), "convolution": nn.Conv2d(1, 1, 1)})
        self.classifier = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("targets", "expected"),
    [  # as PEFT reads them
        ("all-linear", ["layers.0.q", "layers.0.kq", "layers.1.q", "layers.1.kq", "mlp.q"]),
        (["q"], ["layers.0.q", "layers.1.q", "mlp.q"]),
        (["layers.1.q", "kq"], ["layers.0.kq", "layers.1.q", "layers.1.kq"]),
        (r".*\.q", ["layers.0.q", "layers.1.q", "mlp.q"]),
        (r"layers\.1\..*", ["layers.1.q", "layers.1.kq"]),
        (r".*convolution", ["mlp.convolution"]),
    ],
)
def test_targets(targets, expected):
    assert list(find_targets(Transformer(), targets, tuple(LAYERS))) == expected


@pytest.mark.parametrize("targets", ["q", ["layers"], ["q", "value"], "nothing", [], "("])
def test_targets_that_match_nothing(targets):
    with pytest.raises(intrinsic.UserError, match=r"matches no|is not a regular expression|targets is empty|non-empty"):
        find_targets(Transformer(), targets, tuple(LAYERS))


def test_a_module_with_two_names_is_wrapped_once():
    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({"a": shared, "b": shared, "head": nn.Linear(4, 2)})
    coordinates = LoRA(2).wire(model, seed=0)
    assert model["a"] is model["b"]
    assert list(coordinates) == ["a.lora_A", "a.lora_B"]


@pytest.mark.parametrize(
    ("model", "head"),
    [
        (Transformer(), "classifier"),
        (network(), "5"),
        (nn.ModuleDict({"fc": nn.Linear(2, 2), "last": nn.Linear(2, 2)}), "fc"),
    ],
)
def test_the_head(model, head):
    assert find_head(model) == head


def test_select_matches_full_names():
    coordinates = intrinsic.Full(select=r"\d\.weight").wire(network(), seed=0)
    assert list(coordinates) == ["0.weight", "3.weight", "5.weight"]
    with pytest.raises(intrinsic.UserError, match=r"the nearest name is '\d.weight'"):
        intrinsic.Full(select="weight").wire(network(), seed=0)


@pytest.mark.parametrize(
    ("mode", "trained", "full_dim"), [("project", 50, 2 * 34 + 32), ("train", 82, 68), ("freeze", 50, 68)]
)
def test_where_the_head_goes(mode, trained, full_dim):
    net = intrinsic.Subspace(network(), space=LoRA(2), projection=intrinsic.OneHot, dim=50, head=mode)
    assert (net.count()["trained"], net.full_dim) == (trained, full_dim)


def test_functional_names_are_not_confused_by_prefixes():
    model = nn.ModuleDict({"head": nn.Linear(2, 2), "header": nn.Linear(2, 2)})
    assert set(intrinsic.Head().wire(model, seed=0)) == {"head.weight", "head.bias"}
