"""LoRA on transformers' Conv1D, on attention and on parts of fused matrices; patterns, dropout, and what is refused."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

import intrinsic
from intrinsic.layers.low_rank import LowRank, kinds, low_rank
from intrinsic.layers.low_rank.kinds import part_kinds

WIDTH = 8


def gpt2():
    torch.manual_seed(0)
    options = {"n_embd": WIDTH, "n_layer": 2, "n_head": 2, "n_positions": 16, "initializer_range": 0.2}
    config = GPT2Config(**options, vocab_size=20, eos_token_id=0, bos_token_id=0)
    return GPT2LMHeadModel(config).double().eval()


class Attention(nn.Module):
    """A layer of each kind with parts, used as public models use them."""

    def __init__(self):
        super().__init__()
        self.qkv, self.c_attn = nn.Linear(WIDTH, 3 * WIDTH), Conv1D(3 * WIDTH, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x):
        for fused in (self.qkv, self.c_attn):
            q, k, v = fused(x).chunk(3, dim=-1)
            x = x + F.scaled_dot_product_attention(q, k, v)
        return self.head(self.encoder(x + self.attention(x, x, x)[0]))


def make():
    torch.manual_seed(0)
    return Attention().double()


X = torch.linspace(-1, 1, 2 * 5 * WIDTH, dtype=torch.float64).sin().view(2, 5, WIDTH)


def stir(net):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.3)


def test_conv1d_follows_the_formula():
    torch.manual_seed(0)
    base = Conv1D(5, 6).double()
    layer, x = low_rank(base, 2, 3.0, seed=1), torch.rand(2, 3, 6, dtype=torch.float64)
    assert (layer.lora_A.shape, layer.lora_B.shape) == ((2, 6), (5, 2))  # as PEFT stores them
    torch.testing.assert_close(layer(x), base(x), atol=0, rtol=0)
    stir(layer)
    expected = base.weight + 3.0 * torch.einsum("or,ri->io", layer.lora_B, layer.lora_A)
    torch.testing.assert_close(layer.weight, expected)
    torch.testing.assert_close(layer(x), x @ expected + base.bias)


ROWS = {"q": slice(0, WIDTH), "k": slice(WIDTH, 2 * WIDTH), "v": slice(2 * WIDTH, 3 * WIDTH)}
PLACES = {  # what is targeted: the fused weight, as rows of outputs, of a plain model
    "qkv": lambda model: model.qkv.weight,
    "c_attn": lambda model: model.c_attn.weight.T,
    "attention.in_proj": lambda model: model.attention.in_proj_weight,
    "encoder.self_attn.in_proj": lambda model: model.encoder.self_attn.in_proj_weight,
}


@pytest.mark.parametrize("parts", [["q", "v"], ["k"], [""]], ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_parts_follow_the_formula(place, parts):
    """W of the part + s B A, its other rows as they were, in training and in the fast paths of evaluation."""
    targets = [f"{place}.{part}".rstrip(".") for part in parts]
    options = {"rank_pattern": {targets[-1]: 3}, "alpha_pattern": {targets[0]: 5.0}}
    net = intrinsic.Subspace(make(), space=intrinsic.LoRA(2, targets=targets, **options))
    assert net.coordinate_names == [f"{target}.{factor}" for target in targets for factor in ("lora_A", "lora_B")]
    frozen = make().requires_grad_(
        False
    )  # a plain nn.MultiheadAttention rounds otherwise if its weights have gradients
    with torch.no_grad():
        torch.testing.assert_close(net(X), frozen(X), atol=0, rtol=0)
    torch.testing.assert_close(net(X), frozen(X))
    stir(net)
    plain, factors = make(), dict(net.model.named_parameters())
    for number, (target, part) in enumerate(zip(targets, parts, strict=True)):
        A, B = factors[f"{target}.lora_A"].detach(), factors[f"{target}.lora_B"].detach()
        rows = ROWS.get(part, slice(None))
        assert A.shape == (3 if number == len(parts) - 1 else 2, WIDTH)
        assert B.shape == (WIDTH if part else 3 * WIDTH, len(A))
        scaling = (5.0 if number == 0 else 8.0) / len(A)
        PLACES[place](plain).data[rows] += scaling * torch.einsum("or,ri->oi", B, A)
    net.train()(X).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    for mode in (True, False):
        with torch.set_grad_enabled(mode):
            torch.testing.assert_close(net.train(mode)(X), plain.train(mode)(X))
            torch.testing.assert_close(net.merge().train(mode)(X), plain(X))
    assert not torch.allclose(plain(X), make()(X))


def test_every_kind_with_parts_has_a_case():
    model = make()
    found = {kind for kind in part_kinds() for module in model.modules() if isinstance(module, kind)}
    assert found == set(part_kinds())
    assert Conv1D in kinds()


def test_a_part_is_not_the_whole():
    """The rows of other parts stay: LoRA on the whole has one A for all."""
    net = intrinsic.Subspace(gpt2(), space=intrinsic.LoRA(2, targets=["c_attn.q", "c_attn.v"]))
    assert net.full_dim == 2 * 2 * (2 * WIDTH + 2 * WIDTH)
    stir(net)
    merged, base = net.merge(), gpt2()
    for mine, other in zip(merged.transformer.h, base.transformer.h, strict=True):
        moved = (mine.attn.c_attn.weight != other.attn.c_attn.weight).view(WIDTH, 3, WIDTH)
        assert moved[:, 0].all()
        assert not moved[:, 1].any()
        assert moved[:, 2].all()


@pytest.mark.parametrize("projection", [intrinsic.Identity, intrinsic.OneHot])
def test_parts_with_patterns_are_saved_and_loaded(tmp_path, projection):
    dim = None if projection is intrinsic.Identity else 20
    space = intrinsic.LoRA(
        2, targets=["in_proj.q", "c_attn", "qkv.v", "out_proj"], rank_pattern={"c_attn": 4}, alpha_pattern={"v": 2}
    )
    net = intrinsic.Subspace(make(), space=space, projection=projection, dim=dim)
    stir(net)
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(make(), tmp_path / "run.safetensors")
    torch.testing.assert_close(again(X), net(X), atol=0, rtol=0)
    before = [type(module) for module in make().modules()]
    again.space.unwire(again.model)
    assert [type(module) for module in again.model.modules()] == before


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


LAYERS_WITH_DROPOUT = {
    "linear": (lambda: nn.Linear(6, 5), lambda: torch.rand(3, 6), F.linear),
    "Conv1D": (lambda: Conv1D(5, 6), lambda: torch.rand(3, 6), F.linear),
    "convolution": (lambda: nn.Conv2d(2, 5, 3), lambda: torch.rand(3, 2, 8, 8), F.conv2d),
}


@pytest.mark.parametrize("case", LAYERS_WITH_DROPOUT)
def test_dropout_is_of_the_inputs_of_a(case):
    new, example, apply = LAYERS_WITH_DROPOUT[case]
    base, x = new().double(), example().double()
    layer = low_rank(base, 2, 3.0, seed=0, dropout=0.5)
    stir(layer)
    layer.train()
    torch.manual_seed(7)
    out = layer(x)
    torch.manual_seed(7)
    expected = base(x) + 3.0 * apply(apply(F.dropout(x, 0.5), layer.lora_A), layer.lora_B)
    torch.testing.assert_close(out, expected)
    plain = copy.deepcopy(base)
    plain.weight.data = layer.weight.detach()
    torch.testing.assert_close(layer.eval()(x), plain(x))  # nothing is dropped in evaluation


def test_dropout_is_a_function_of_the_seed():
    net = intrinsic.Subspace(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 2)), space=intrinsic.LoRA(2, dropout=0.3))
    stir(net)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(net.train()(torch.ones(1, 6)))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


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


def test_transformers_is_not_imported_for_its_conv1d():
    code = (
        "import sys, torch, intrinsic\n"
        "net = intrinsic.Subspace(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)), "
        "space=intrinsic.LoRA(2))\n"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
