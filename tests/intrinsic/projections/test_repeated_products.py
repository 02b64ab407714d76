"""The products of a training loop, against those of single steps, bit for bit."""

import pytest
import torch

import intrinsic
from intrinsic.projections.kernels import onehot_cpu, select
from intrinsic.projections.repeated_products import RepeatedProducts

SHAPES = [(7, 5), (0,), (11,), (3, 4)]
SIZE, DIM = 58, 6


def tensors(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


@pytest.fixture
def products():
    def make(kind):
        projection, z, out = kind(DIM, SIZE, seed=1), torch.nn.Parameter(torch.ones(DIM)), torch.empty(SIZE)
        origins = tensors(0)
        return projection, z, origins, out, RepeatedProducts(projection, z, origins, out, tensors(1))

    return make


def displaced(projection, z, origins):
    out = torch.empty(SIZE)
    projection.displace_pieces(z.detach(), origins, out)
    return out


KINDS = [
    intrinsic.OneHot, intrinsic.Sparse, intrinsic.Kronecker, intrinsic.Fastfood, intrinsic.Dense, intrinsic.Select,
    intrinsic.DCT,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_single_steps(products, kind):
    projection, z, origins, out, repeated = products(kind)
    for step in range(3):
        with torch.no_grad():
            z.mul_(-2)  # in place, as optimisers do
            origins[0].add_(1)
        version = out._version
        repeated.displace()
        assert torch.equal(out, displaced(projection, z, origins))
        assert out._version > version
        pieces = tensors(step)  # elsewhere in memory at each step
        assert torch.equal(repeated.multiply(pieces), projection.multiply_pieces(pieces))


def test_a_parameter_that_is_given_new_memory(products):
    projection, z, origins, out, repeated = products(intrinsic.OneHot)
    z.data = torch.arange(6.0)
    repeated.displace()
    assert torch.equal(out, displaced(projection, torch.arange(6.0), origins))


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_that_is_a_column_of_another_matrix_at_each_step(products, kind):
    projection, z, origins, out, repeated = products(kind)
    for step in range(3):
        z.data = torch.arange(12.0).view(DIM, 2).add(step)[:, 1]
        repeated.displace()
        assert torch.equal(out, displaced(projection, z.detach().clone(), origins))
        pieces = tensors(step)
        assert torch.equal(repeated.multiply(pieces), projection.multiply_pieces(pieces))


@pytest.mark.parametrize("change", [lambda g: g.t().clone().t(), torch.Tensor.double, torch.nn.Parameter])
def test_gradients_that_lie_otherwise(products, change):
    projection, *_, repeated = products(intrinsic.OneHot)
    pieces = tensors(2)
    expected = projection.multiply_pieces(pieces)
    found = repeated.multiply([change(pieces[0]), *pieces[1:]])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "call"),
    [("matvec_pieces", RepeatedProducts.displace), ("rmatvec_pieces", lambda each: each.multiply(tensors(3)))],
)
def test_an_error_of_a_kernel_shows(products, monkeypatch, name, call):
    def fail(*_):
        raise ValueError("once")

    monkeypatch.setattr(getattr(onehot_cpu, name), "_kernel", fail)
    *_, repeated = products(intrinsic.OneHot)
    with pytest.raises(ValueError, match="once"):
        call(repeated)


def test_what_does_not_compile_is_done_by_plain_torch(products, monkeypatch):
    """As in single products: with one warning, right, and tried once, as a compiler takes seconds to fail."""

    class CompilerError(Exception):
        __module__ = "numba.core.errors"

    tried = []

    def fail(*_):
        tried.append(1)
        raise CompilerError("no such instruction")

    monkeypatch.setattr(select, "_CHOSEN", {})
    monkeypatch.setattr(select, "_LEFT_OUT", {})
    projection, z, origins, out, repeated = products(intrinsic.OneHot)
    for name in ("matvec_pieces", "rmatvec_pieces"):
        monkeypatch.setattr(getattr(onehot_cpu, name), "_kernel", fail)
    repeated = RepeatedProducts(projection, z, origins, out, tensors(1))
    with pytest.warns(RuntimeWarning, match="the kernels of OneHot .* are left out"):
        repeated.displace()
    g = torch.cat([part.flatten() for part in origins])
    for factor in (1, 2):
        with torch.no_grad():
            z.mul_(factor)
        repeated.displace()
        torch.testing.assert_close(out, g + projection.matvec(z.detach()))
        torch.testing.assert_close(repeated.multiply(origins), projection.rmatvec(g))
    assert len(tried) == 1
