"""Prefixes: their formula, gate, cache, network, and what is refused."""

import copy
import math
import re

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from intrinsic.errors import UserError
from intrinsic.layers.attention_sites import find_attention
from intrinsic.layers.gated_prefix import GatedPrefix
from intrinsic.layers.reparametrised_prefix import ReparametrisedPrefix
from intrinsic.models.vit import ViT
from tests.support.configs import composed
from tests.support.tiny_transformers import FAMILIES, batch, logits, tiny

every_family = pytest.mark.parametrize("family", FAMILIES)


def shaken(net):
    """Every trained number moved, gates too."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return net


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (6, 1)])
def test_the_formula_in_float64(heads, kv_heads):
    torch.manual_seed(0)
    prefix = GatedPrefix(heads, kv_heads, 5, 3, like=torch.empty(0, dtype=torch.float64), seed=0)
    query = torch.randn(2, heads, 7, 5, dtype=torch.float64)
    assert not prefix(query).any()
    with torch.no_grad():
        prefix.gate.normal_()
    result = prefix(query, 0.3)
    for n in range(2):
        for head in range(heads):
            key, value = (t[head // (heads // kv_heads)] for t in (prefix.key, prefix.value))
            for token in range(7):
                weights = [math.exp(0.3 * float(query[n, head, token] @ k.detach())) for k in key]
                mean = sum(w * v for w, v in zip(weights, value, strict=True)) / sum(weights)
                torch.testing.assert_close(result[n, head, token], prefix.gate[head, 0].tanh() * mean)
    torch.testing.assert_close(prefix(query), prefix(query, 1 / math.sqrt(5)))


def test_the_network_gives_keys_and_values():
    prefix = ReparametrisedPrefix(4, 2, 5, 3, width=6, like=torch.empty(0, dtype=torch.float64), seed=0)
    with torch.no_grad():
        for parameter in prefix.parameters():
            parameter.normal_()
    key, value = prefix.keys_and_values()
    for position, embedding in enumerate(prefix.embedding):
        both = prefix.outer @ torch.tanh(prefix.inner @ embedding + prefix.inner_bias) + prefix.outer_bias
        torch.testing.assert_close(torch.cat([key[:, position].flatten(), value[:, position].flatten()]), both)
    query = torch.randn(2, 4, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(prefix.plain()(query), prefix(query), atol=0, rtol=0)


@every_family
@pytest.mark.parametrize("mlp", [None, 6])
def test_only_the_gates_have_a_gradient_at_the_start(family, mlp):
    """So that the first step moves them, and the next one everything."""
    net = intrinsic.Subspace(tiny(family), space=intrinsic.Prefix(3, mlp=mlp))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for first in (True, False):
        optimizer.zero_grad()
        net(**batch(family)).loss.backward()
        for name, parameter in net.named_parameters():
            assert bool(parameter.grad.any()) == (name.endswith("gate") or not first), name
        optimizer.step()


def test_the_share_is_added_where_the_model_attends():
    """Llama's attention, its output layer and rotary positions included, by hand."""
    net = shaken(intrinsic.Subspace(tiny("llama"), space=intrinsic.Prefix(3)))
    attention = net.model.model.layers[0].self_attn
    seen = {}
    attention.o_proj.register_forward_pre_hook(lambda _, inputs: seen.update(mixed=inputs[0]))
    attention.prefix.register_forward_pre_hook(lambda _, inputs: seen.update(query=inputs[0]))
    logits(net, "llama")
    with torch.no_grad():
        share = attention.prefix(seen["query"]).transpose(1, 2).flatten(2)
    base = tiny("llama")
    base.model.layers[0].self_attn.o_proj.register_forward_pre_hook(lambda _, inputs: seen.update(base=inputs[0]))
    logits(base, "llama")
    torch.testing.assert_close(seen["mixed"], seen["base"] + share)
    assert share.abs().max() > 0.1


@every_family
def test_attention_functions_agree(family):
    """Also one that is chosen after the prefixes have come."""
    net = shaken(intrinsic.Subspace(tiny(family, attn_implementation="eager"), space=intrinsic.Prefix(3)))
    eager = logits(net, family)
    net.model.set_attn_implementation("sdpa")
    torch.testing.assert_close(logits(net, family), eager, atol=1e-4, rtol=1e-4)  # other kernels round otherwise
    with torch.no_grad():
        net.model.set_attn_implementation("eager")
        arguments = {k: v for k, v in batch(family).items() if k != "labels" or family == "t5"}
        weights = net(**arguments, output_attentions=True)
    assert (weights.attentions if family != "t5" else weights.encoder_attentions) is not None


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_generation_with_a_cache_and_without(family):
    net = shaken(
        intrinsic.Subspace(
            tiny(family, None if family == "t5" else {"gpt2": "LMHeadModel"}.get(family, "ForCausalLM")),
            space=intrinsic.Prefix(3),
        )
    )
    tokens = batch(family)["input_ids"][1:]
    texts = [net.model.generate(tokens, max_new_tokens=6, do_sample=False, use_cache=cache) for cache in (True, False)]
    assert torch.equal(*texts)


def test_cross_attention_has_none():
    assert [name for name in find_attention(tiny("t5")) if "EncDec" in name] == []
    assert len(find_attention(tiny("t5"))) == 4


@every_family
def test_gradient_checkpointing(family):
    grads = []
    for checkpointing in (False, True):
        net = shaken(intrinsic.Subspace(tiny(family), space=intrinsic.Prefix(3), projection=intrinsic.OneHot, dim=20))
        if checkpointing:
            net.model.gradient_checkpointing_enable()
        for module in net.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        net.model.config.dropout_rate = 0.0
        for module in net.model.modules():
            if isinstance(getattr(module, "dropout", None), float):
                module.dropout = 0.0  # T5 keeps that of its attention as a number
        net.train()(**batch(family)).loss.backward()
        grads.append(net.z.grad)
    torch.testing.assert_close(*grads)


def test_the_vit():
    torch.manual_seed(0)
    model = ViT((1, 4, 4), 3, patch=2, width=8, depth=2, heads=2, dropout=0.0)
    x = torch.rand(3, 1, 4, 4)
    before = model(x)
    net = intrinsic.Subspace(model, space=intrinsic.Prefix(3))
    torch.testing.assert_close(net(x), before, atol=0, rtol=0)
    assert net.full_dim == 2 * (2 * 3 * 8 + 2)
    assert not torch.allclose(shaken(net)(x), before)


@every_family
def test_wiring_and_unwiring_leave_no_trace(family):
    model = tiny(family)
    state, attributes = copy.deepcopy(model.state_dict()), {n: set(vars(m)) for n, m in model.named_modules()}
    space = intrinsic.Prefix(3)
    space.wire(model, seed=0)
    space.unwire(model)
    assert {n: set(vars(m)) for n, m in model.named_modules()} == attributes
    assert model.state_dict().keys() == state.keys()
    sites = find_attention(model).values()
    assert {module.config._attn_implementation for module in sites} == {model.config._attn_implementation}


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_the_network_is_dropped_when_saved_and_merged(family, tmp_path):
    net = shaken(intrinsic.Subspace(tiny(family), space=intrinsic.Prefix(3, mlp=6), head="train"))
    before = net.fingerprint(), logits(net, family)
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(tiny(family), tmp_path / "run.safetensors")
    assert again.space == intrinsic.Prefix(3)
    torch.testing.assert_close(logits(again, family), before[1], atol=0, rtol=0)
    assert not any(isinstance(module, ReparametrisedPrefix) for module in net.merge().modules())
    torch.testing.assert_close(logits(net.merge(), family), before[1], atol=0, rtol=0)
    assert (net.fingerprint(), net.space) == (before[0], intrinsic.Prefix(3, mlp=6))  # which is as it was
    torch.testing.assert_close(logits(net, family), before[1], atol=0, rtol=0)


def test_the_network_stays_where_z_says_less(tmp_path):
    net = intrinsic.Subspace(tiny("bert"), space=intrinsic.Prefix(3, mlp=6), projection=intrinsic.OneHot, dim=9)
    intrinsic.save(shaken(net), tmp_path / "run.safetensors")
    again = intrinsic.load(tiny("bert"), tmp_path / "run.safetensors")
    assert (again.space, again.dim) == (intrinsic.Prefix(3, mlp=6), 9)
    torch.testing.assert_close(logits(again, "bert"), logits(net, "bert"), atol=0, rtol=0)


def test_models_without_attention_are_refused():
    with pytest.raises(UserError, match=r"^space prefix needs attention, Sequential has none that takes a prefix: use"):
        intrinsic.Subspace(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), space=intrinsic.Prefix(3))
    with pytest.raises(UserError, match="reorder_and_upcast_attn=false"):
        intrinsic.Subspace(tiny("gpt2", reorder_and_upcast_attn=True), space=intrinsic.Prefix(3))


def test_twice_is_refused():
    net = intrinsic.Subspace(tiny("bert"), space=intrinsic.Prefix(2))
    with pytest.raises(UserError, match="already has prefixes"):
        intrinsic.Subspace(net.merge(), space=intrinsic.Prefix(2))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"length": 0}, "need an integer length >= 1, got length=0"),
        ({"length": "3"}, "need an integer length >= 1, got length='3'"),
        ({"length": 3, "mlp": 0}, "need an integer mlp >= 1, got mlp=0"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(UserError, match=re.escape(match)):
        intrinsic.Prefix(**options)


def test_the_knob():
    assert build(composed("method=prefix", "length=7")["space"], "space") == intrinsic.Prefix(7)
