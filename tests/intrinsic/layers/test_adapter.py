"""Adapters: their formula, where they go, and what is refused."""

import copy
import re

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from intrinsic.errors import UserError
from intrinsic.layers.adapter_layer import ACTIVATIONS, AdapterLayer
from intrinsic.models.vit import ViT
from tests.support.configs import composed
from tests.support.tiny_transformers import batch, logits, tiny


def vit():
    torch.manual_seed(0)
    return ViT((1, 4, 4), 3, patch=2, width=8, depth=2, heads=2, dropout=0.0)


def places(model, **options):
    return list(dict.fromkeys(name.rpartition(".")[0] for name in intrinsic.Adapter(2, **options).wire(model, seed=0)))


def test_the_formula_in_float64():
    torch.manual_seed(0)
    base = nn.Linear(5, 4).double()
    for activation, f in ACTIVATIONS.items():
        layer = AdapterLayer(base, 4, 3, activation, like=base.weight.detach(), seed=0)
        x = torch.randn(2, 6, 5, dtype=torch.float64)
        torch.testing.assert_close(layer(x), base(x), atol=0, rtol=0)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_()
        for row, result in zip(x.reshape(-1, 5), layer(x).reshape(-1, 4), strict=True):
            h = base.weight @ row + base.bias
            inner = f(layer.adapter_down @ h + layer.adapter_down_bias)
            torch.testing.assert_close(result, h + layer.adapter_up @ inner + layer.adapter_up_bias)


def test_initial_numbers():
    layer = AdapterLayer(nn.Linear(4, 400), 400, 50, "gelu", like=torch.empty(0), seed=0)
    assert layer.adapter_down.shape == (50, 400)
    assert abs(layer.adapter_down.std() / 0.01 - 1) < 0.03  # four standard errors, 1 / sqrt(2 * 20000) each
    assert not any(t.any() for t in (layer.adapter_up, layer.adapter_up_bias, layer.adapter_down_bias))


PLACES = {  # (attention, feed-forward) of a layer
    "bert": ("bert.encoder.layer.{}.attention.output.dense", "bert.encoder.layer.{}.output.dense"),
    "roberta": ("roberta.encoder.layer.{}.attention.output.dense", "roberta.encoder.layer.{}.output.dense"),
    "gpt2": ("transformer.h.{}.attn.c_proj", "transformer.h.{}.mlp.c_proj"),
    "llama": ("model.layers.{}.self_attn.o_proj", "model.layers.{}.mlp.down_proj"),
    "vit": ("blocks.{}.attention.output", "blocks.{}.down"),
}


@pytest.mark.parametrize("family", PLACES)
def test_places(family):
    fresh = vit if family == "vit" else lambda: tiny(family)
    expected = [place.format(layer) for layer in (0, 1) for place in PLACES[family]]
    assert places(fresh()) == expected
    assert places(fresh(), placement="pfeiffer") == expected[1::2]


def test_places_of_an_encoder_and_decoder():
    """The decoder's attention to the encoder, layer.1 of each of its blocks, has none."""
    blocks = [f"{stack}.block.{index}.layer." for stack in ("encoder", "decoder") for index in (0, 1)]
    ends = {
        "encoder": ["0.SelfAttention.o", "1.DenseReluDense.wo"],
        "decoder": ["0.SelfAttention.o", "2.DenseReluDense.wo"],
    }
    assert places(tiny("t5")) == [block + end for block in blocks for end in ends[block.split(".")[0]]]


def test_targets_of_other_models():
    def network():
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))

    assert places(network(), targets="all-linear") == ["0", "2"]
    assert places(network(), targets=["2"]) == ["2"]
    assert places(network(), targets=r"[04]") == ["0", "4"]
    with pytest.raises(UserError, match=r"^space adapter needs layers .*: Sequential has none: name linear"):
        places(network())
    with pytest.raises(UserError, match=r"targets='7' matches no Linear of Sequential: did you mean"):
        places(network(), targets=["2", "7"])


def test_a_layer_that_is_never_called_is_refused():
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 3))
    types = [type(module) for module in model.modules()]
    with pytest.raises(UserError, match=r"cannot follow 0\.self_attn\.out_proj: nn\.MultiheadAttention reads its wei"):
        places(model, targets=["out_proj"])
    assert [type(module) for module in model.modules()] == types


@pytest.mark.parametrize("masked", [False, True])
def test_evaluation_has_its_adapters(masked):
    """nn.TransformerEncoderLayer reads the weights of its layers there, and calls none."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
            self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

        def forward(self, x, mask=None):
            return self.head(self.encoder(x, src_key_padding_mask=mask))

    torch.manual_seed(0)
    net, x = intrinsic.Subspace(Net().double(), space=intrinsic.Adapter(4)), torch.rand(2, 5, 8, dtype=torch.float64)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    mask = (torch.arange(5) >= torch.tensor([[5], [3]])) if masked else None
    seen = torch.ones(2, 5, dtype=torch.bool) if mask is None else ~mask
    expected = net.train()(x, mask)[seen]
    with torch.no_grad():
        for each in (net, copy.deepcopy(net), net.merge()):
            torch.testing.assert_close(each.eval()(x, mask)[seen], expected, atol=1e-12, rtol=1e-12)
        base = net.unwrap().eval()
        assert not any(module._forward_hooks for module in base.modules())
        assert not torch.allclose(base(x, mask)[seen], expected)


def test_a_layer_under_its_adapter_still_shows_itself():
    """T5 looks at the weight of the layer before it calls it."""
    model = tiny("t5")
    plain = copy.deepcopy(model).encoder.block[0].layer[1].DenseReluDense.wo
    intrinsic.Adapter(2).wire(model, seed=0)
    layer = model.encoder.block[0].layer[1].DenseReluDense.wo
    assert torch.equal(layer.weight, plain.weight)
    assert (layer.out_features, layer.bias) == (16, None)


def test_adapters_follow_low_rank_layers():
    model = tiny("bert")
    before = logits(model, "bert")
    space = intrinsic.Union([intrinsic.LoRA(2, targets=["output.dense"]), intrinsic.Adapter(2, placement="pfeiffer")])
    net = intrinsic.Subspace(model, space=space)
    torch.testing.assert_close(logits(net, "bert"), before, atol=0, rtol=0)
    net(**batch("bert")).loss.backward()
    grads = {name: p.grad.abs().sum() for name, p in net.named_parameters()}
    assert all(grad > 0 for name, grad in grads.items() if name.endswith(("lora_B", "adapter_up")))


def test_twice_is_refused():
    net = intrinsic.Subspace(tiny("bert"), space=intrinsic.Adapter(2))
    with pytest.raises(UserError, match="already has adapters"):
        intrinsic.Subspace(net.merge(), space=intrinsic.Adapter(2))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"bottleneck": 0}, "need an integer bottleneck >= 1, got bottleneck=0"),
        ({"bottleneck": 2.0}, "got bottleneck=2.0"),
        ({"bottleneck": 2, "placement": "here"}, "need placement=houlsby or pfeiffer, got placement=here"),
        (
            {"bottleneck": 2, "activation": "softmax"},
            "need activation=gelu or relu or silu or tanh, got activation=soft",
        ),
        ({"bottleneck": 2, "targets": 3}, "need targets as a name, a list of names or null, got targets=3"),
        ({"bottleneck": 2, "targets": [3]}, "got targets="),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(UserError, match=re.escape(match)):
        intrinsic.Adapter(**options)


def test_the_knob():
    assert build(composed("method=adapter", "bottleneck=7")["space"], "space").bottleneck == 7
