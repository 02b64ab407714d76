"""From gradients to the next weights by one kernel, against torch's own Adam between two products, bit for bit."""

import math

import numba
import pytest
import torch

import intrinsic
from intrinsic.projections.kernels import guarded_kernels, onehot_cpu, prove_descent
from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.guarded_kernels import GuardedKernels
from intrinsic.projections.repeated_products import RepeatedProducts
from intrinsic.surgery.optimizer_internals import fused_adam

KINDS = [
    intrinsic.OneHot, intrinsic.Sparse, intrinsic.Kronecker, intrinsic.KroneckerSum, intrinsic.Fastfood,
    intrinsic.Select,
]  # fmt: skip
DTYPES = [torch.float32, torch.float64]
SETTINGS = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


@numba.njit
def adam_(g, z, state, numbers):
    adam(g, z, state, numbers)


def torch_adam(g, z, first, second, count, settings):
    count.add_(1)
    rest = {"weight_decay": 0.0, "amsgrad": False, "maximize": False, "grad_scale": None, "found_inf": None}
    fused_adam([z], [g], [first], [second], [], [count], **settings, **rest)


def start(size, dtype):
    return [torch.zeros(size, dtype=dtype) for _ in range(3)] + [torch.zeros(())]


def gradient(size, dtype, step):
    generator = torch.Generator().manual_seed(step)
    normal = torch.randn(size, generator=generator, dtype=torch.float64)
    return (normal * 10 ** torch.randn(size, generator=generator, dtype=torch.float64)).to(dtype)


def has_fused_multiply_add():
    """Whether torch was compiled for processors as `adam` rounds."""
    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


needs_fma = pytest.mark.skipif(not has_fused_multiply_add(), reason="torch rounds otherwise on this processor")


@needs_fma
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 5, 8, 15, 16, 33, 750, 4099])
@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9])
def test_adam_has_the_bits_of_torch(dtype, size, beta1):
    settings = {**SETTINGS, "beta1": beta1}
    ours, theirs = start(size, dtype), start(size, dtype)
    numbers = torch.tensor(list(settings.values()), dtype=torch.float64).numpy()
    state = tuple(part.numpy().reshape(-1) for part in ours[1:])
    for step in range(20):
        g = gradient(size, dtype, step)
        adam_(g.numpy(), ours[0].numpy(), state, numbers)
        torch_adam(g, *theirs, settings)
        assert all(map(torch.equal, ours, theirs))


def test_adam_is_what_its_docstring_says():
    z, first, second, count = start(7, torch.float64)
    m = v = x = torch.zeros(7, dtype=torch.float64)
    lr, beta1, beta2, eps = SETTINGS.values()
    state = tuple(part.numpy().reshape(-1) for part in (first, second, count))
    for t in range(1, 5):
        g = gradient(7, torch.float64, t)
        adam_(g.numpy(), z.numpy(), state, torch.tensor([lr, beta1, beta2, eps], dtype=torch.float64).numpy())
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        x = x - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
    torch.testing.assert_close(z, x)
    assert count == t


@needs_fma
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_descent_has_the_bits_of_its_parts(kind, dtype):
    dim, shapes = 70, [(90, 111), (111,), (40, 25), (1,)]
    sizes = [math.prod(shape) for shape in shapes]
    projection = kind(dim, sum(sizes), seed=3)
    cut = lambda x: [piece.view(shape) for piece, shape in zip(x.split(sizes), shapes, strict=True)]  # noqa: E731
    origins = cut(gradient(sum(sizes), dtype, 100))
    ours, theirs, g = start(dim, dtype), start(dim, dtype), torch.empty(dim, dtype=dtype)
    out = torch.empty(sum(sizes), dtype=dtype)
    products = RepeatedProducts(projection, ours[0], origins, out, origins)
    descend = products.descent(g, ours[1:])
    for step in range(4):
        settings = {**SETTINGS, "lr": 0.1 / (1 + step)}
        pieces = cut(gradient(sum(sizes), dtype, step))
        descend(pieces, tuple(settings.values()))
        expected = projection.multiply_pieces(pieces)
        torch_adam(expected, *theirs, settings)
        assert torch.equal(g, expected)
        assert all(map(torch.equal, ours, theirs))
        weights = torch.empty_like(out)
        projection.displace_pieces(theirs[0], origins, weights)
        assert torch.equal(out, weights)


def test_none_without_kernels_of_its_own(monkeypatch):
    def descent(kind):
        x, (z, *state) = torch.ones(30), start(4, torch.float32)
        return RepeatedProducts(kind(4, 30, seed=0), z, [x], torch.empty(30), [x]).descent(z.clone(), state)

    assert descent(intrinsic.DCT) is None
    monkeypatch.setenv("INTRINSIC_KERNELS", "torch")
    assert descent(intrinsic.OneHot) is None


def test_other_bits_of_torch_leave_it_out_without_a_word(monkeypatch, recwarn):
    def other(*tensors, **settings):
        fused_adam(*tensors, **{**settings, "eps": 2 * settings["eps"]})

    monkeypatch.setattr(prove_descent, "fused_adam", other)
    guarded = GuardedKernels(onehot_cpu, pytest.fail)
    assert not guarded.descends(intrinsic.OneHot, torch.float32)
    assert not recwarn.list


def test_what_does_not_compile_is_told(monkeypatch):
    class CompilerError(Exception):
        __module__ = "numba.core.errors"

    def fail(*_):
        raise CompilerError("no such instruction")

    monkeypatch.setattr(guarded_kernels, "prove_descent", fail)
    told = []
    assert not GuardedKernels(onehot_cpu, told.append).descends(intrinsic.OneHot, torch.float32)
    assert [str(error) for error in told] == ["no such instruction"]
