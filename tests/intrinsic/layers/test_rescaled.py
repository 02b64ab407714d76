"""Scales of (IA)^3: the formula, where they are, and what merging leaves."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from intrinsic.errors import UserError
from intrinsic.layers.rescaled import Rescaled
from intrinsic.models.vit import ViT
from tests.support.tiny_language import make_language_folder


def vit():
    torch.manual_seed(0)
    return ViT((1, 8, 8), 3, patch=4, width=8, depth=2, heads=2, dropout=0.0)


def stirred(model):
    net = intrinsic.Subspace(model, space=intrinsic.IA3())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(1 + torch.randn(parameter.shape, generator=generator))
    return net


def test_the_layer_is_the_formula():
    base, x = nn.Linear(5, 3).double(), torch.randn(4, 5, dtype=torch.float64)
    W, b = base.weight.detach(), base.bias.detach()
    for inputs, size in ((False, 3), (True, 5)):
        layer = Rescaled(base, inputs=inputs)
        assert torch.equal(layer(x), base(x))
        scale = torch.randn(size, dtype=torch.float64)
        with torch.no_grad():
            layer.ia3_l.copy_(scale)
        expected = (x * scale) @ W.T + b if inputs else scale * (x @ W.T + b)
        torch.testing.assert_close(layer(x), expected)
        torch.testing.assert_close(F.linear(x, layer.weight, layer.bias), expected)


def test_keys_values_and_inner_activations_are_scaled():
    net = stirred(vit())
    block = ["attention.key", "attention.value", "down"]
    assert net.coordinate_names == [f"blocks.{k}.{name}.ia3_l" for k in range(2) for name in block]
    assert [net.model.get_submodule(f"blocks.0.{name}").inputs for name in block] == [False, False, True]
    x = torch.randn(4, 1, 8, 8)
    merged = net.merge()
    torch.testing.assert_close(merged(x), net(x))
    assert not any(isinstance(module, Rescaled) for module in merged.modules())


def test_a_fused_layer_and_conv1d(tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = make_language_folder(tmp_path / "gpt2", "gpt2")
    net = stirred(transformers.AutoModelForCausalLM.from_pretrained(folder).eval())
    assert {name.rpartition(".ia3_l")[0].rpartition("h.")[2][2:] for name in net.coordinate_names} == {
        "attn.c_attn", "mlp.c_proj",
    }  # fmt: skip
    ids = torch.arange(5)[None]
    torch.testing.assert_close(net.merge()(ids).logits, net(ids).logits)


def test_what_has_no_place():
    with pytest.raises(UserError, match=r"space ia3 .*: use space=lora"):
        intrinsic.Subspace(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), space=intrinsic.IA3())
    net = intrinsic.Subspace(vit(), space=intrinsic.IA3())
    with pytest.raises(UserError, match=r"already has scales of \(IA\)\^3: merge them first"):
        intrinsic.Subspace(net.model, space=intrinsic.IA3())
