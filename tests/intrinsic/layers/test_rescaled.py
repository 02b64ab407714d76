"""Scales of (IA)^3: the formula, where they are, and what merging leaves."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

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


class Shifted(nn.Linear):
    def forward(self, x):
        return super().forward(x).tanh() + 1


def parametrized():
    return nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: Shifted(6, 6), "a Shifted with a forward of its own"),
        (parametrized, "a ParametrizedLinear with a weight that is computed from other numbers"),
        (lambda: nn.utils.weight_norm(nn.Linear(6, 6)), "a Linear with a weight that is computed from other numbers"),
        (lambda: prune.l1_unstructured(nn.Linear(6, 6), "bias", 2), "a Linear with a bias that is computed"),
    ],
)
def test_what_a_scale_of_the_weight_would_not_scale_is_refused(layer, reason):
    """Merged it was another function: its weight, which is computed, took no scale; its forward is none of W x + b."""
    model = nn.Sequential(layer(), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(UserError, match=rf"^space ia3 cannot scale 0, {reason}.*: leave it out of outputs and inputs"):
        intrinsic.Subspace(model, space=intrinsic.IA3(outputs=["0"], inputs=[]))


@pytest.mark.parametrize(
    ("first", "outputs"), [(intrinsic.LoRA(2), None), (intrinsic.LoRA(2), ["value"]), (intrinsic.Adapter(2), None)]
)
def test_scales_of_layers_with_updates_are_merged_or_refused(first, outputs):
    """Around an update a scale was merged into a weight that nobody reads again."""
    scales = intrinsic.IA3(outputs=outputs, inputs=None if outputs is None else [])
    with pytest.raises(UserError, match="has an update or an adapter already: name ia3 before them in a union"):
        intrinsic.Subspace(vit(), space=intrinsic.Union([first, scales]))
    kept = intrinsic.Subspace(vit(), space=first).unwrap(keep=True)
    with pytest.raises(UserError, match="has an update or an adapter already"):
        intrinsic.Subspace(kept, space=scales)
    net = intrinsic.Subspace(vit().double(), space=intrinsic.Union([scales, first]))
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter += torch.linspace(-0.3, 0.2 + number / 50, parameter.numel()).view_as(parameter)
    if not first.merges:
        with pytest.raises(UserError, match="cannot merge: a layer that is scaled has an adapter, which stays"):
            net.merge()
        return
    x = torch.linspace(-1, 1, 128, dtype=torch.float64).view(2, 1, 8, 8)
    torch.testing.assert_close(net.merge()(x), net(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("inputs", [False, True])
def test_what_a_scaled_layer_returns_has_its_dtype_under_autocast(inputs):
    base, x = nn.Linear(6, 5).to(torch.bfloat16), torch.ones(2, 6, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert Rescaled(base, inputs=inputs)(x).dtype == base(x).dtype == torch.bfloat16
