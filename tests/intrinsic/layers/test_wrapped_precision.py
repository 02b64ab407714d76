"""The numbers of wrappers are float32 at least, and what they return has the dtype of the plain layer."""

import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.pytorch_utils import Conv1D

import intrinsic
from tests.support.tiny_transformers import batch, tiny
from tests.support.wrapped import SPACES, X, every_space, network, stir

BF16, F32, F64 = torch.bfloat16, torch.float32, torch.float64


LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), lambda: torch.rand(3, 6), "0"),
    "convolution": (lambda: nn.Conv2d(2, 5, 3), lambda: torch.rand(1, 2, 5, 5), "0"),
    "Conv1D": (lambda: Conv1D(5, 6), lambda: torch.rand(3, 6), "0"),
    "embedding": (lambda: nn.Embedding(7, 5, padding_idx=1), lambda: torch.arange(7), "0"),
    "attention": (lambda: nn.MultiheadAttention(6, 2), lambda: torch.rand(3, 6), "0.in_proj"),
}


class First(nn.Sequential):
    def forward(self, x):
        out = self[0](x, x, x) if hasattr(self[0], "in_proj_weight") else self[0](x)
        return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize("dtype", [F32, BF16, torch.float16, F64])
@pytest.mark.parametrize("half", [None, BF16, torch.float16])
@pytest.mark.parametrize("kind", LAYERS)
def test_dtypes_are_those_of_the_plain_layer(kind, half, dtype):
    make, example, target = LAYERS[kind]
    model, x = First(make()).to(dtype), example()
    x = x.to(dtype) if x.is_floating_point() else x
    with torch.autocast("cpu", half, enabled=half is not None):
        before = model(x)
        net = intrinsic.Subspace(model, space=intrinsic.LoRA(2, targets=[target]))
        start = net(x)
        moved = stir(net)(x).sum()
    moved.backward()
    assert start.dtype == before.dtype
    assert torch.equal(start, before)
    assert all(p.grad.dtype == (F64 if dtype == F64 else F32) for p in net.parameters())


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("dtype", [F32, BF16])
def test_dtypes_of_mixed_rows(dtype, half):
    bank = intrinsic.Bank(network().to(dtype))
    for seed in (0, 1):
        bank.add(f"task{seed}", stir(intrinsic.Subspace(network().to(dtype), space=intrinsic.LoRA(2), seed=seed)))
    with torch.no_grad(), torch.autocast("cpu", BF16, enabled=half):
        mixed = bank(X.to(dtype), tasks=["task0", "task1", "task0"])
        alone = [bank.use(name)(X.to(dtype)) for name in ("task0", "task1")]
    assert mixed.dtype == alone[0].dtype
    rows = torch.stack([alone[0][0], alone[1][1], alone[0][2]])
    torch.testing.assert_close(mixed, rows, **({} if mixed.dtype == F32 else {"atol": 0.05, "rtol": 0.05}))


@pytest.mark.parametrize("kind", LAYERS)
def test_small_steps_move_factors_beside_half_precision(kind):
    make, example, target = LAYERS[kind]
    torch.manual_seed(0)
    net = intrinsic.Subspace(First(make()).to(BF16), space=intrinsic.LoRA(2, targets=[target]))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    x = example()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    for _ in range(50):
        optimizer.zero_grad()
        out = net(x.to(BF16) if x.is_floating_point() else x)
        assert out.dtype == BF16
        (out.float() - 1).square().sum().backward()
        optimizer.step()
    for name, parameter in net.named_parameters():
        assert parameter.dtype == F32
        moved = (parameter.detach() != before[name]).float().mean()
        assert moved > (0.8 if kind == "embedding" else 0.99), name  # the padding token has a column of A


@every_space
def test_numbers_stay_float32_under_casts(space):
    net = stir(intrinsic.Subspace(network(), space=SPACES[space]()))
    own = {name: p.detach().clone() for name, p in net.named_parameters()}
    net.to(BF16)
    assert all(torch.equal(p, own[name]) for name, p in net.named_parameters())
    assert net(X.to(BF16)).dtype == BF16
    net(X.to(BF16)).sum().backward()
    assert all(p.grad.dtype == F32 for p in net.half().parameters())
    assert all(p.dtype == F64 for p in net.double().parameters())
    assert all(p.dtype == F32 for p in net.bfloat16().parameters())
    assert all(p.dtype == F64 for p in intrinsic.Subspace(network().double(), space=SPACES[space]()).parameters())


@pytest.mark.parametrize("mlp", [None, 4])
def test_prefixes_are_float32_beside_half_precision(mlp):
    model = tiny("llama").to(BF16)
    before = model(**batch("llama")).logits
    net = intrinsic.Subspace(model, space=intrinsic.Prefix(3, mlp=mlp))
    assert {p.dtype for p in net.parameters()} == {F32}
    assert torch.equal(net(**batch("llama")).logits, before)
    net(**batch("llama")).loss.backward()
    with torch.autocast("cpu", BF16):
        assert net.float()(**batch("llama")).logits.dtype == BF16


def test_merging_rounds_once():
    net = intrinsic.Subspace(network().to(BF16), space=intrinsic.LoRA(2))
    stir(net)
    with torch.autocast("cpu", BF16):
        plain = net.merge()
    for name in ("0", "1"):
        layer = net.model.get_submodule(name)
        expected = layer.base.weight.double() + layer.scaling * layer.lora_B.double() @ layer.lora_A.double()
        exact = expected.float().to(BF16)  # float32 rounds far below half a step of bfloat16
        assert (plain.get_submodule(name).weight != exact).float().mean() < 0.02


def test_one_attention_layer_in_several_threads():
    """The updated weight is put into no place that another call reads."""
    net = stir(intrinsic.Subspace(First(nn.MultiheadAttention(6, 2)), space=intrinsic.LoRA(2, targets=["in_proj"])))
    x = torch.rand(64, 6)
    expected, wrong = net.eval()(x), []

    def call():
        for _ in range(100):
            with torch.no_grad():
                if not torch.allclose(net(x), expected, atol=1e-5):
                    wrong.append(1)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@every_space
@pytest.mark.parametrize("dtype", [F32, BF16])
def test_gradients_under_autocast_checkpointing_and_transforms(space, dtype):
    net = stir(intrinsic.Subspace(network().to(dtype), space=SPACES[space]()))
    x = X.to(dtype)

    def grads(call):
        net.zero_grad()
        call().float().square().sum().backward()
        return [p.grad.clone() for p in net.parameters()]

    plain = grads(lambda: net.model(x))
    for found in (grads(lambda: checkpoint(net.model, x, use_reentrant=False)),):
        torch.testing.assert_close(found, plain, atol=0, rtol=0)
    with torch.autocast("cpu", BF16):
        half = grads(lambda: checkpoint(net.model, x, use_reentrant=False))
    torch.testing.assert_close(half, plain, atol=0.2, rtol=0.1)  # bfloat16 has 8 bits
    parameters = {name: p.detach() for name, p in net.model.named_parameters()}
    losses = lambda p, row: torch.func.functional_call(net.model, p, (row,)).float().square().sum()  # noqa: E731
    rows = torch.func.vmap(torch.func.grad(losses), in_dims=(None, 0))(parameters, x)
    summed = [rows[name].sum(0) for name, p in net.model.named_parameters() if p.requires_grad]
    torch.testing.assert_close(summed, plain, **({} if dtype == F32 else {"atol": 0.2, "rtol": 0.1}))
