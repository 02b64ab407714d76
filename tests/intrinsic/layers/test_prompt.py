"""Prompts: their formula, what layers make of them, where they go, and what is refused."""

import copy
import pickle
import re
import threading

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from intrinsic.errors import UserError
from intrinsic.layers.gated_prefix import GatedPrefix
from intrinsic.layers.prompt_share import PromptShare
from intrinsic.models.vit import ViT
from intrinsic.surgery.torch_internals import forward_hooks
from intrinsic.testing.reader import Reader
from tests.support.configs import composed
from tests.support.tiny_transformers import FAMILIES, batch, logits, tiny
from tests.support.zoo import answer, member

every_family = pytest.mark.parametrize("family", FAMILIES)


def shaken(net):
    """Every trained number moved, gates too."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return net


def reader():
    torch.manual_seed(0)
    return Reader().double()


def test_the_formula_in_float64():
    """One layer: its keys and values of the prompt, a softmax for each head and token, and the gate."""
    plain, net = reader(), shaken(intrinsic.Subspace(reader(), space=intrinsic.Prompt(3)))
    inputs = torch.rand(2, 5, dtype=torch.float64)
    prompt, gate = (p.detach() for p in net.parameters())
    assert (prompt.shape, gate.shape) == ((3, 8), (2, 1, 1))
    with torch.no_grad():
        x = plain.embedding((9 * inputs).long() % 7)
        query, key, value = (layer(x) for layer in (plain.query, plain.key, plain.value))
        mixed = torch.empty_like(x)
        for n, token, head in ((n, t, h) for n in range(2) for t in range(5) for h in range(2)):
            own, q = slice(4 * head, 4 * head + 4), query[n, token, 4 * head : 4 * head + 4]

            def attend(keys, values, q=q):
                return (keys @ q / 2).softmax(0) @ values

            virtual = attend(plain.key(prompt)[:, own], plain.value(prompt)[:, own])
            mixed[n, token, own] = attend(key[n, :, own], value[n, :, own]) + gate[head].tanh().item() * virtual
        expected = plain.head((x + mixed).mean(1))
    torch.testing.assert_close(net(inputs).detach(), expected)
    torch.testing.assert_close(net.merge()(inputs).detach(), expected)


def test_keys_are_those_of_the_model_on_the_prompt():
    """Rotary positions and grouped heads included, by transformers' own cache."""
    net = shaken(intrinsic.Subspace(tiny("llama"), space=intrinsic.Prompt(3)))
    prompt = net.model.model.embed_tokens.prompt.embeddings.detach()
    with torch.no_grad():
        cache = tiny("llama").model(inputs_embeds=prompt[None], use_cache=True).past_key_values
    for layer, module in zip(cache.layers, net.merge().model.layers, strict=True):
        torch.testing.assert_close(module.self_attn.prefix.key.detach(), layer.keys[0])
        torch.testing.assert_close(module.self_attn.prefix.value.detach(), layer.values[0])


@every_family
def test_only_the_gates_have_a_gradient_at_the_start(family):
    net = intrinsic.Subspace(tiny(family), space=intrinsic.Prompt(3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for first in (True, False):
        optimizer.zero_grad()
        net(**batch(family)).loss.backward()
        for name, parameter in net.named_parameters():
            assert bool(parameter.grad.any()) == (name.endswith("gate") or not first), name
        optimizer.step()


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_generation_with_a_cache_and_without(family):
    task = None if family == "t5" else {"gpt2": "LMHeadModel"}.get(family, "ForCausalLM")
    net = shaken(intrinsic.Subspace(tiny(family, task), space=intrinsic.Prompt(3)))
    tokens = batch(family)["input_ids"][1:]
    texts = [net.model.generate(tokens, max_new_tokens=6, do_sample=False, use_cache=cache) for cache in (True, False)]
    assert torch.equal(*texts)
    assert torch.equal(net.merge().generate(tokens, max_new_tokens=6, do_sample=False), texts[0])


@every_family
def test_gradient_checkpointing(family):
    grads = []
    for checkpointing in (False, True):
        net = shaken(intrinsic.Subspace(tiny(family), space=intrinsic.Prompt(3), projection=intrinsic.OneHot, dim=20))
        if checkpointing:
            net.model.gradient_checkpointing_enable()
        net.model.config.dropout_rate = 0.0
        for module in net.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(getattr(module, "dropout", None), float):
                module.dropout = 0.0  # T5 keeps that of its attention as a number
        net.train()(**batch(family)).loss.backward()
        assert all(module.training for module in net.modules())
        grads.append(net.z.grad)
    torch.testing.assert_close(*grads)


def test_a_layer_that_is_called_twice_attends_to_both_prompts():
    net = shaken(intrinsic.Subspace(member("albert"), space=intrinsic.Prompt(3)))
    with torch.no_grad():
        torch.testing.assert_close(answer(net.merge(), "albert"), answer(net, "albert"), atol=0, rtol=0)
    assert [m.key.shape[1] for m in net.merge().modules() if isinstance(m, GatedPrefix)] == [6]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])  # noqa: S301
def test_copies_have_prompts_of_their_own(copied):
    net = shaken(intrinsic.Subspace(tiny("bert"), space=intrinsic.Prompt(3)))
    before = net(**batch("bert")).logits  # what it keeps for a backward pass is no part of a copy
    again = copied(net)
    assert torch.equal(logits(again, "bert"), before)
    shaken(again)
    assert not torch.allclose(logits(again, "bert"), before)
    assert torch.equal(logits(net, "bert"), before)


def test_threads_have_a_prompt_each():
    net = shaken(intrinsic.Subspace(tiny("bert"), space=intrinsic.Prompt(3))).eval()
    expected, found = logits(net, "bert"), []
    threads = [threading.Thread(target=lambda: found.append(logits(net, "bert"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(torch.equal(each, expected) for each in found)


@every_family
def test_wiring_and_unwiring_leave_no_trace(family):
    model = tiny(family)
    attributes = {n: set(vars(m)) for n, m in model.named_modules()}
    space = intrinsic.Prompt(3)
    names = space.wire(model, seed=0)
    assert names.keys() <= dict(model.named_parameters()).keys()
    space.unwire(model)
    assert {n: set(vars(m)) for n, m in model.named_modules()} == attributes
    assert not any(hooks for module in model.modules() for hooks in forward_hooks(module))


def test_of_text_and_images_the_text_has_it():
    net = intrinsic.Subspace(member("clip"), space=intrinsic.Prompt(2))
    assert {name.split(".")[0] for name in net.coordinate_names} == {"text_model"}
    assert sum(isinstance(module, PromptShare) for module in net.modules()) == 2


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "^space prompt needs attention, Sequential has none"),
        (lambda: ViT((1, 4, 4), 3, patch=2, width=8, depth=1, heads=2, dropout=0.0), "needs tokens, .* ViT has none"),
        (lambda: tiny("bert", max_position_embeddings=2), "cannot run 3 of them .*: use space=prefix or lora$"),
        (lambda: intrinsic.Subspace(tiny("bert"), space=intrinsic.Prompt(2)).merge(), "already has prefixes"),
        (lambda: intrinsic.Subspace(tiny("bert"), space=intrinsic.Prefix(2)).model, "already has prefixes"),
    ],
)
def test_what_is_refused(model, match):
    model = model()
    attributes = {name: set(vars(module)) for name, module in model.named_modules()}
    with pytest.raises(UserError, match=match):
        intrinsic.Subspace(model, space=intrinsic.Prompt(3))
    assert {name: set(vars(module)) for name, module in model.named_modules()} == attributes


def test_options_and_the_knob():
    with pytest.raises(UserError, match=re.escape("need an integer length >= 1, got length=0")):
        intrinsic.Prompt(0)
    assert build(composed("method=prompt", "length=7")["space"], "space") == intrinsic.Prompt(7)
