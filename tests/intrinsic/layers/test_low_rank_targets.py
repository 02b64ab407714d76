"""Where LoRA goes in GPT-2 and in models of one's own, and targets that do not fit."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.layers.low_rank import LowRank
from intrinsic.models.vit import ViT
from tests.support.gpt2 import gpt2, make


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("all-linear", ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]),
        (["c_attn.q", "v"], ["attn.c_attn.q", "attn.c_attn.v"]),
        (["c_proj"], ["attn.c_proj", "mlp.c_proj"]),
        (r".*attn.*", ["attn.c_attn", "attn.c_proj"]),  # the whole, not its parts
        (r".*c_attn\.[qk]", ["attn.c_attn.q", "attn.c_attn.k"]),
    ],
)
def test_targets_in_gpt2(targets, expected):
    names = intrinsic.LoRA(2, targets=targets).wire(gpt2(), seed=0)
    layers = [f"transformer.h.{layer}.{name}" for layer in range(2) for name in expected]
    assert list(names) == [f"{name}.{factor}" for name in layers for factor in ("lora_A", "lora_B")]


def test_the_first_pattern_that_matches_counts():
    space = intrinsic.LoRA(2, rank_pattern={r"h\.1.*c_fc": 5, "mlp.c_fc": 3, "^transformer": 7}, targets=["c_fc"])
    with pytest.raises(intrinsic.UserError, match=r"rank_pattern='\^transformer' matches none of the 2 targets"):
        space.wire(gpt2(), seed=0)
    space = intrinsic.LoRA(
        2, rank_pattern={r"h\.1.*c_fc": 5, "mlp.c_fc": 3}, alpha_pattern={"c_fc": 6}, targets=["c_fc"]
    )
    model = gpt2()
    space.wire(model, seed=0)
    layers = [module for module in model.modules() if isinstance(module, LowRank)]
    assert [(len(layer.lora_A), layer.scaling) for layer in layers] == [(3, 2.0), (5, 6 / 5)]


class Separate(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, kdim=4), nn.Linear(8, 2)


@pytest.mark.parametrize(
    ("make_model", "options", "match"),
    [
        (make, {"rank": 9, "targets": ["qkv"]}, "^qkv: need rank <= 8 for a matrix of 24 x 8, got rank=9: lower it"),
        (make, {"rank": 9, "targets": ["in_proj.q"]}, "need rank <= 8 for a matrix of 8 x 8, got rank=9"),
        (gpt2, {"rank": 9, "targets": ["wte"]}, "wte: need rank <= 8 for a matrix of 20 x 8, got rank=9"),
        (gpt2, {"rank": 9, "targets": ["c_fc"]}, "need rank <= 8 for a matrix of 32 x 8, got rank=9"),
        (gpt2, {"rank": 2, "targets": ["c_fc.q"]}, "matches no .*: did you mean"),
        (gpt2, {"rank": 2, "targets": ["c_attn", "c_attn.q"]}, r"c_attn.q' and a whole that it is a part of: choose"),
        (gpt2, {"rank": 2, "targets": ["wte"], "dropout": 0.1}, "an nn.Embedding has none: leave it out of targets"),
        (make, {"rank": 2, "targets": ["in_proj"], "dropout": 0.1}, "attention reads its weight and has no input"),
        (make, {"rank": 2, "targets": ["out_proj"], "dropout": 0.1}, "attention reads its weight and has no input"),
        (Separate, {"rank": 2, "targets": ["in_proj"]}, "matches no Linear"),
    ],
)
def test_targets_that_do_not_fit(make_model, options, match):
    model = make_model()
    with pytest.raises(intrinsic.UserError, match=match) as caught:
        intrinsic.Subspace(model, space=intrinsic.LoRA(**options))
    assert "\n" not in str(caught.value)
    assert not any(isinstance(module, LowRank) for module in model.modules())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dropout": 1.0}, "need 0 <= dropout < 1, got dropout=1.0"),
        ({"dropout": True}, "need 0 <= dropout < 1, got dropout=True"),
        ({"rank_pattern": {"q": 0}}, r"need an integer rank_pattern\['q'\] >= 1, got rank_pattern\['q'\]=0"),
        ({"rank_pattern": 3}, "need rank_pattern as regular expressions with a value each, or null"),
        ({"alpha_pattern": {"q": -1}}, r"need alpha > 0, got alpha_pattern\['q'\]=-1"),
        ({"alpha_pattern": {"(": 1}}, r"alpha_pattern: '\(' is not a regular expression"),
    ],
)
def test_options_that_are_refused(options, match):
    with pytest.raises(intrinsic.UserError, match=match):
        intrinsic.LoRA(2, **options)


@pytest.mark.slow
def test_transformers_is_not_imported_for_its_conv1d():
    code = (
        "import sys, torch, intrinsic\n"
        "net = intrinsic.Subspace(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)), "
        "space=intrinsic.LoRA(2))\n"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("make_model", "targets", "most"),
    [
        (make, ["qkv"], 8),
        (make, ["in_proj.q", "in_proj.v"], 8),
        (gpt2, ["wte", "c_attn.v"], 8),
        (lambda: nn.Sequential(nn.Conv2d(3, 20, 2), nn.Linear(20, 5)), ["0"], 12),
        (lambda: nn.Sequential(nn.Linear(20, 9), nn.Linear(9, 5)), ["0", "1"], 5),
        (lambda: nn.Sequential(nn.Linear(20, 9), nn.Linear(9, 7), nn.Linear(7, 3)), "all-linear", 9),
    ],
)
def test_the_largest_rank_is_the_last_that_is_taken(make_model, targets, most):
    model, space = make_model(), intrinsic.LoRA(most, targets=targets)
    space.wire(model, seed=0)
    assert intrinsic.Union([intrinsic.BitFit(), space]).largest_rank(model) == space.largest_rank(model) == most
    with pytest.raises(intrinsic.UserError, match=f"need rank <= .*, got rank={most + 1}"):
        intrinsic.LoRA(most + 1, targets=targets).wire(make_model(), seed=0)


def test_targets_of_other_ranks_do_not_bound_it():
    model, space = nn.Sequential(nn.Linear(20, 9), nn.Linear(9, 5)), intrinsic.LoRA(6, targets=["0", "1"])
    with pytest.raises(intrinsic.UserError, match="need rank <= 5"):
        space.wire(model, seed=0)
    space = intrinsic.LoRA(6, targets=["0", "1"], rank_pattern={"1": 2})
    space.wire(model, seed=0)
    assert space.largest_rank(model) == 9
    assert intrinsic.BitFit().largest_rank(model) is None


@pytest.mark.parametrize("kept", [True, False])
def test_a_prefix_is_no_mixture_of_experts(kept):
    """Its keys and values are of three axes, one first, and `value` names them as it names a layer."""
    torch.manual_seed(0)
    model = ViT((1, 8, 8), 3, patch=4, width=8, depth=1, heads=2, dropout=0.0).double()
    prefix, lora = intrinsic.Prefix(3), intrinsic.LoRA(2, targets=["value"])
    if kept:
        model = intrinsic.Subspace(model, space=prefix).unwrap(keep=True)
    net = intrinsic.Subspace(model, space=lora if kept else intrinsic.Union([prefix, lora]))
    factors = [name for name in net.coordinate_names if "lora" in name]
    assert factors == ["blocks.0.attention.value.lora_A", "blocks.0.attention.value.lora_B"]
    with torch.no_grad():
        for parameter in net.model.parameters():
            parameter += 0.1  # the gates of the kept prefix, too
    x = torch.linspace(-1, 1, 128, dtype=torch.float64).view(2, 1, 8, 8)
    torch.testing.assert_close(net.merge()(x), net(x), atol=1e-12, rtol=0)
