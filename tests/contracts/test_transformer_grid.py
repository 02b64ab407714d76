"""The grid on transformers: every space with every projection, around a tiny model of each family."""

from functools import cache

import pytest
import torch

import intrinsic
from experiments.config.build import build
from tests.support.configs import composed, names
from tests.support.pairwise import pairwise
from tests.support.tiny_transformers import FAMILIES, batch, logits, tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
DIM = 8
every_family = pytest.mark.parametrize("family", FAMILIES)
every_space = pytest.mark.parametrize("space", names("space"))
config_of = cache(composed)


@cache
def lora_targets(family):
    """LoRA's default; an embedding as long as LoRA knows no layer of GPT-2 but its head and those."""
    try:
        intrinsic.LoRA(2).wire(tiny(family), seed=0)
    except intrinsic.UserError:
        if family != "gpt2":
            raise
        return ["wte"]
    return "all-linear"


def space_of(name, family):
    """The space of a config file, small enough for the tiny models."""
    node = config_of(f"space={name}")["space"]
    for part in (node, *node.get("spaces", {}).values()):
        if "rank" in part:
            part = part | {"rank": 2, "targets": lora_targets(family)}
            node = node | ({"spaces": node["spaces"] | {"lora": part}} if "spaces" in node else part)
    return build(node, "space")


def wrap(model, space, projection, family, seed=0):
    config = config_of("method=subspace", f"projection={projection}", *[f"dim={DIM}"] * (projection != "identity"))
    return intrinsic.Subspace(
        model,
        space=space_of(space, family),
        projection=build(config["projection"], "projection"),
        seed=seed,
        **config["subspace"],
    )


@cache
def impossible(space, family):
    """Cells that cannot be: models without biases, for the spaces that need some."""
    biases = [name for name, _ in tiny(family).named_parameters() if name.endswith("bias")]
    return "biases" in space_of(space, family).needs and not biases


def step(net, family):
    """One step of Adam."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    net.train()(**batch(family)).loss.backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)
    optimizer.step()


@pytest.mark.parametrize(("projection", "space", "family"), pairwise(names("projection"), names("space"), FAMILIES))
def test_starts_as_the_model_and_takes_a_step(projection, space, family):
    model = tiny(family)
    before = logits(model, family)
    if impossible(space, family):
        with pytest.raises(intrinsic.UserError, match=rf"^space {space} needs biases, .* has none: use"):
            wrap(model, space, projection, family)
        torch.testing.assert_close(logits(model, family), before, atol=0, rtol=0)
        return
    net = wrap(model, space, projection, family)
    torch.testing.assert_close(logits(net, family), before, atol=0, rtol=0)
    assert sum(p.numel() for p in net.parameters()) == (net.full_dim if projection == "identity" else DIM)
    step(net, family)
    if projection in ("select", "dct") and not net.z.grad.any():
        return  # eight numbers, or coefficients, of a prefix whose gates are 0
    assert (logits(net, family) - before).abs().max() > 1e-5  # a hundred times the rounding of numbers near 1


@every_family
@every_space
def test_what_was_saved_is_loaded_into_a_fresh_model(space, family, tmp_path):
    if impossible(space, family):
        pytest.skip("no such cell")
    net = wrap(tiny(family), space, "identity", family)
    step(net, family)
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(tiny(family), tmp_path / "run.safetensors")
    assert again.space == net.space
    torch.testing.assert_close(logits(again, family), logits(net, family), atol=0, rtol=0)


@every_family
@every_space
def test_merged_is_the_same_function_and_unwired_the_first_model(space, family):
    if impossible(space, family):
        pytest.skip("no such cell")
    net = wrap(tiny(family), space, "identity", family)
    step(net, family)
    # (W + s B A) x and W x + s B (A x) differ in rounding
    torch.testing.assert_close(logits(net.merge(), family), logits(net, family), atol=1e-5, rtol=1e-5)
    net.space.unwire(net.model)
    own = dict(tiny(family).named_parameters()).keys()
    if not own & set(net.coordinate_names):  # which are the weights themselves
        torch.testing.assert_close(logits(net.model, family), logits(tiny(family), family), atol=0, rtol=0)
    assert [type(module) for module in net.model.modules()] == [type(module) for module in tiny(family).modules()]


HEADS = {
    "bert": {"classifier.weight", "classifier.bias"},  # the pooler is pretrained
    "roberta": {f"classifier.{layer}.{kind}" for layer in ("dense", "out_proj") for kind in ("weight", "bias")},
    "gpt2": {"score.weight"},
    "llama": {"score.weight"},
    "t5": {"shared.weight"},  # tied to lm_head
}


@every_family
def test_what_counts_as_head(family):
    assert set(intrinsic.Head().wire(tiny(family), seed=0)) == HEADS[family]


def test_the_head_of_an_encoder_and_decoder_that_classifies():
    found = intrinsic.Head().wire(tiny("t5", "ForSequenceClassification", num_labels=3), seed=0)
    assert {name.split(".")[0] for name in found} == {"classification_head"}
    assert len(found) == 4  # dense and out_proj


TABLES = {
    "bert": {"word_embeddings", "position_embeddings", "token_type_embeddings"},
    "roberta": {"word_embeddings", "position_embeddings", "token_type_embeddings"},
    "gpt2": {"wte", "wpe"},
    "llama": {"embed_tokens"},
    "t5": {"shared", "relative_attention_bias"},  # lm_head and both embed_tokens are tied to `shared`
}


@every_family
def test_all_weights_with_and_without_embeddings(family):
    model = tiny(family)
    everything = intrinsic.Full().wire(model, seed=0)
    assert len({id(p) for p in everything.values()}) == len(everything) == len(list(model.parameters()))
    rest = intrinsic.Full(embeddings=False).wire(model, seed=0)
    assert {name.split(".")[-2] for name in everything.keys() - rest.keys()} == TABLES[family]
