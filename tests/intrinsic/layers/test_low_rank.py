"""LoRA on transformers' Conv1D, on attention and on parts of fused matrices; patterns, dropout, and what is refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

import intrinsic
from intrinsic.layers.low_rank import kinds, low_rank
from intrinsic.layers.low_rank.kinds import part_kinds
from tests.support.gpt2 import WIDTH, gpt2, make

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


def test_an_embedding_that_scales_gradients_by_frequency():
    """The gradient of a token's column of A, as that of its row of the table, is divided by how often it was read."""
    tokens = torch.tensor([[1, 1, 1, 4], [2, 4, 0, 2]])
    torch.manual_seed(0)
    base = nn.Embedding(5, 6, padding_idx=0, scale_grad_by_freq=True).double()
    net = intrinsic.Subspace(nn.Sequential(base), space=intrinsic.LoRA(2, targets=["0"]))
    stir(net)
    layer, g = net.model[0], torch.randn(2, 4, 6, dtype=torch.float64)
    net(tokens).backward(g)
    column = torch.zeros(2, 5, dtype=torch.float64)
    for token, at in zip(tokens.flatten().tolist(), g.flatten(0, 1), strict=True):
        count = (tokens == token).sum()
        column[:, token] += 4.0 * layer.lora_B.detach().T @ at * (token != 0) / count  # s = alpha / rank = 4
    torch.testing.assert_close(layer.lora_A.grad, column)


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
