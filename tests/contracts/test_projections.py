"""The contract of DESIGN's projections, one case for every file in conf/projection."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import lsqr

from intrinsic.errors import UserError
from intrinsic.projections import base
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.stacked import Stacked
from tests.support.configs import names
from tests.support.projections import RANDOM, make, matrix

# awkward sizes: one coordinate, as many as weights, neither a power of two, a cut last block
SIZES = [(1, 1), (1, 7), (5, 5), (30, 333), (64, 4096), (100, 4099)]


def sizes(name):
    return [(d, D) for d, D in SIZES if name != "identity" or d == D]


CASES = [(name, *size) for name in names("projection") for size in sizes(name)]
cases = pytest.mark.parametrize(("name", "dim", "full_dim"), CASES)
random_projections = pytest.mark.parametrize("name", RANDOM)


@cases
def test_gradient_is_the_adjoint(name, dim, full_dim):
    projection = make(name, dim, full_dim)
    v = torch.linspace(-1, 1, full_dim, dtype=torch.float64)
    z = torch.ones(dim, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(projection(z) @ v, z)
    torch.testing.assert_close(gradient, matrix(projection).T @ v)
    torch.testing.assert_close(projection.adjoint(v), matrix(projection).T @ v)


@pytest.mark.parametrize(("name", "dim", "full_dim"), [case for case in CASES if case[1] <= 30])
def test_gradients_to_any_order(name, dim, full_dim):
    projection = make(name, dim, full_dim)
    z = torch.linspace(-1, 1, dim, dtype=torch.float64, requires_grad=True)
    fast = full_dim > 10  # along random directions in place of every entry
    assert torch.autograd.gradcheck(lambda z: projection(z).sin(), z, check_forward_ad=True, fast_mode=fast)
    assert torch.autograd.gradgradcheck(lambda z: projection(z).sin(), z, fast_mode=fast)


@cases
def test_columns_have_unit_norm(name, dim, full_dim):
    projection = make(name, dim, full_dim)
    norms = matrix(projection).norm(dim=0)
    if projection.unit_columns:
        torch.testing.assert_close(norms, torch.ones_like(norms), atol=1e-6, rtol=0)  # entries are rounded to float32
    else:
        draws = [matrix(make(name, dim, full_dim, seed)).norm(dim=0).square().mean() for seed in range(20)]
        # fastfood: only the cut last block varies, at most half of the weight, by about as much; a mean over 20 draws
        assert abs(torch.stack(draws).mean() - 1) < 0.1


@cases
def test_leading_axes_are_replicas(name, dim, full_dim):
    projection = make(name, dim, full_dim)
    z = torch.linspace(-1, 1, 6 * dim, dtype=torch.float64).view(2, 3, dim)
    g = torch.linspace(-1, 1, 6 * full_dim, dtype=torch.float64).view(2, 3, full_dim)
    P = matrix(projection)
    torch.testing.assert_close(projection(z), z @ P.T)
    torch.testing.assert_close(projection.adjoint(g), g @ P)
    torch.testing.assert_close(torch.vmap(projection, in_dims=1)(z), (z @ P.T).movedim(1, 0))


@cases
def test_float32_agrees_with_float64(name, dim, full_dim):
    projection = make(name, dim, full_dim)
    z, g = torch.linspace(-1, 1, dim), torch.linspace(-1, 1, full_dim)
    assert projection(z).dtype == projection.adjoint(g).dtype == torch.float32
    torch.testing.assert_close(projection(z).double(), projection(z.double()), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(projection.adjoint(g).double(), projection.adjoint(g.double()), atol=1e-4, rtol=1e-4)


@random_projections
def test_the_seed_decides_the_bits(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = make(name, 30, 333, seed=4)
    assert torch.equal(torch.get_rng_state(), before)  # the global state is left alone, and not used either:
    torch.manual_seed(2)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        second = make(name, 30, 333, seed=4)
    finally:
        torch.set_num_threads(threads)
    assert first.fixed_tensors().keys() == second.fixed_tensors().keys() != set()
    for mine, other in zip(first.fixed_tensors().values(), second.fixed_tensors().values(), strict=True):
        assert torch.equal(mine, other)
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != make(name, 30, 333, seed=5).fingerprint()
    assert first.fingerprint() != make(name, 29, 333, seed=4).fingerprint()


@random_projections
def test_the_bits_are_those_of_this_release(name):
    known = {
        "dense": "6d1ee891ff90b658",
        "fastfood": "c07e3fdae5124b87",
        "kronecker": "f09ea1f9a08948fb",
        "onehot": "0fb705da659a27a8",
        "sparse": "83817370f7a85487",
    }
    if name not in known:
        pytest.skip(f"no fingerprint is recorded for {name}")
    # a change here makes every checkpoint and record of earlier releases unreadable
    assert make(name, 30, 1000, seed=1).fingerprint() == known[name]


@random_projections
def test_columns_are_independent(name):
    assert torch.linalg.matrix_rank(matrix(make(name, 100, 4099))) == 100


@cases
def test_the_plan_is_what_is_stored(name, dim, full_dim):
    projection = make(name, dim, full_dim)
    stored = sum(tensor.nbytes for tensor in projection.fixed_tensors().values())
    assert not list(projection.parameters())
    assert not list(projection.buffers())
    assert list(projection.state_dict()) == ["_extra_state"]  # the fingerprint
    # the number of entries of a sparse matrix is random, with deviation sqrt(expected)
    slack = 16 * 5 * (dim * full_dim**0.5) ** 0.5 if name == "sparse" else 0
    assert abs(projection.nbytes - stored) <= slack


@pytest.mark.parametrize("name", ["sparse", "fastfood"])
def test_too_large_is_refused_before_allocation(name, monkeypatch):
    monkeypatch.setattr(base.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    with pytest.raises(UserError, match=r"needs .* GB for dim=10000.*projection=onehot"):
        make(name, 10_000, 10**9)


@random_projections
@pytest.mark.parametrize("dim", [0, -1, 11, 2.0, "3", True, None])
def test_dim_must_fit(name, dim):
    with pytest.raises(UserError, match=r"need (0 < dim <= full_dim|an integer dim), got dim="):
        make(name, dim, 10)


@pytest.mark.parametrize("wrapper", [Stacked, BlockDiagonal])
@random_projections
def test_one_matrix_for_each_tensor(name, wrapper):
    sizes = [100, 10, 300, 5]
    projection = wrapper(partial(make, name), 20, sizes, seed=1)
    P = matrix(projection)
    g = torch.linspace(-1, 1, sum(sizes), dtype=torch.float64)
    torch.testing.assert_close(projection.adjoint(g), P.T @ g)
    pieces = P.split(sizes)
    if wrapper is Stacked:  # unit columns in every tensor, in expectation where it is smaller than dim
        draws = [matrix(wrapper(partial(make, name), 20, sizes, seed=seed)).split(sizes) for seed in range(50)]
        norms = torch.tensor([[piece.square().sum(0).mean() for piece in draw] for draw in draws])
        # 5 deviations of a mean over 50 draws of the smallest tensor, whose squared norms vary by about a half
        torch.testing.assert_close(norms.mean(0), torch.ones(4).double(), atol=5 * 0.5 / 50**0.5, rtol=0)
        assert not torch.equal(pieces[0][:5], pieces[3])
    else:  # each coordinate moves one tensor
        moved = torch.stack([piece.abs().sum(0) > 0 for piece in pieces])
        assert moved.sum(0).tolist() == [1] * 20
        assert moved.sum(1).tolist() == [5, 5, 5, 5]
    assert projection.fingerprint() != wrapper(partial(make, name), 20, sizes, seed=2).fingerprint()


def test_shares_respect_small_tensors():
    projection = BlockDiagonal(partial(make, "dense"), 30, [100, 2, 50], seed=0)
    assert projection.dims == [14, 2, 14]


def test_a_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match="need a last axis of 3"):
        make("onehot", 3, 10)(torch.ones(4))


@pytest.mark.parametrize("name", names("projection"))
def test_scipy_solves_with_it(name):
    """The least squares of P z = y by LSQR, which knows P by its products alone."""
    projection = make(name, *((33, 33) if name == "identity" else (20, 333)))
    operator = projection.to_scipy()
    assert operator.shape == (projection.full_dim, projection.dim)
    y = np.random.default_rng(0).standard_normal(projection.full_dim)
    expected = np.linalg.lstsq(matrix(projection).numpy(), y)[0]
    assert lsqr(operator, y, atol=1e-13, btol=1e-13)[0] == pytest.approx(expected, rel=1e-6, abs=1e-8)
