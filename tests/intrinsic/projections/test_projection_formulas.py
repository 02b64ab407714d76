"""Every projection against its formula, written out naively in float64."""

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard as hadamard_matrix
from torch.autograd import forward_ad

from intrinsic import rng
from intrinsic.projections.dense import Dense
from intrinsic.projections.fastfood import Fastfood
from intrinsic.projections.hadamard import hadamard
from intrinsic.projections.kronecker import Kronecker
from intrinsic.projections.onehot import OneHot
from intrinsic.projections.sparse import Sparse


def matrix(projection):
    return projection(torch.eye(projection.dim, dtype=torch.float64)).T.numpy()


@pytest.mark.parametrize("n", [1, 2, 4, 64, 128, 2048, pytest.param(8192, marks=pytest.mark.slow)])
def test_hadamard(n):
    x = torch.linspace(-1, 2, 3 * n, dtype=torch.float64).view(3, n)
    expected = x.numpy() @ hadamard_matrix(n).astype(np.float64)
    np.testing.assert_allclose(hadamard(x).numpy(), expected, atol=1e-9 * n)
    torch.testing.assert_close(hadamard(hadamard(x)), n * x)


def test_hadamard_needs_a_power_of_two():
    with pytest.raises(ValueError, match="need a power of two"):
        hadamard(torch.ones(6))


@pytest.mark.parametrize("entries", ["rademacher", "gaussian"])
def test_dense(entries):
    P = matrix(Dense(40, 3000, seed=2, entries=entries))
    draw = rng.signs if entries == "rademacher" else rng.normals
    for j in range(40):
        np.testing.assert_allclose(P[:, j], draw(2, 3000, lane=j) / 3000**0.5, rtol=1e-6)
    # independent entries: off-diagonal correlations of standard deviation 1 / sqrt(D)
    gram = P.T @ P
    assert abs(gram[np.triu_indices(40, 1)]).max() < 5 / 3000**0.5


@pytest.mark.parametrize("entries", ["gaussian", "signs"])
@pytest.mark.parametrize(("dim", "full_dim"), [(1, 5), (3, 10), (100, 300), (128, 1024), (100, 1024)])
def test_fastfood(dim, full_dim, entries):
    projection = Fastfood(dim, full_dim, seed=1, entries=entries)
    blocks, n = projection.sign.shape
    H = hadamard_matrix(n).astype(np.float64)
    rows = []
    for b in range(blocks):
        B = np.diag(projection.sign[b].numpy().astype(np.float64))
        Pi = np.eye(n)[projection.source[b].long().numpy() & 0xFFFF]
        g = projection.gain[b].double().numpy()
        np.testing.assert_allclose(np.linalg.norm(g), 1, rtol=1e-6)
        rows.append(H @ np.diag(g) @ Pi @ H @ B / full_dim**0.5)
    expected = np.concatenate(rows)[:full_dim, :dim]
    np.testing.assert_allclose(matrix(projection), expected, atol=1e-12)
    if entries == "signs" and full_dim % n == 0:
        np.testing.assert_allclose(expected.T @ expected, np.eye(dim), atol=1e-6)  # the gain is rounded to float32


def test_fastfood_is_rotation_like():
    """Different blocks are independent: correlations of weights vanish on average over draws."""
    draws = np.stack([matrix(Fastfood(8, 32, seed=seed)) for seed in range(500)])
    covariance = np.einsum("sij,skj->ik", draws, draws) / 500 / 8 * 32
    np.testing.assert_allclose(covariance, np.eye(32), atol=0.25)  # 5 deviations of a mean over 500 x 8 products


@pytest.mark.parametrize(("dim", "full_dim"), [(1, 5), (7, 7), (10, 99), (100, 1000)])
def test_onehot(dim, full_dim):
    projection = OneHot(dim, full_dim, seed=3)
    groups = [np.flatnonzero(projection.group().numpy() == j) for j in range(dim)]
    assert {len(group) for group in groups} <= {full_dim // dim, -(-full_dim // dim)}
    expected = np.zeros((full_dim, dim))
    for j, group in enumerate(groups):
        expected[group, j] = projection.sign().numpy()[group] / len(group) ** 0.5
    np.testing.assert_allclose(matrix(projection), expected, atol=1e-12)
    np.testing.assert_allclose(expected.T @ expected, np.eye(dim), atol=1e-12)


@pytest.mark.parametrize(("dim", "full_dim"), [(1, 5), (3, 50), (10, 1000), (12, 2000), (750, 5000)])
def test_kronecker(dim, full_dim):
    projection = Kronecker(dim, full_dim, seed=4)
    product = np.kron(projection.left.numpy().astype(np.float64), projection.right.numpy())
    expected = projection.sign.numpy()[:, None] * product[:full_dim, :dim] / full_dim**0.5
    np.testing.assert_allclose(matrix(projection), expected, atol=1e-12)
    assert (expected != 0).all()  # every coordinate moves every weight


def test_sparse():
    dim, full_dim = 50, 10_000
    projection = Sparse(dim, full_dim, seed=5)
    P = matrix(projection)
    counts = (P != 0).sum(0)
    expected = full_dim**0.5  # entries a column, binomial
    assert abs(counts.mean() - expected) < 5 * (expected / dim) ** 0.5
    assert counts.std() > 0.5 * expected**0.5
    np.testing.assert_allclose(np.abs(P), (P != 0) / np.sqrt(counts), rtol=1e-6)
    assert abs(np.sign(P).sum()) < 5 * counts.sum() ** 0.5
    rows = np.nonzero(P)[0]
    assert abs(rows.mean() / full_dim - 0.5) < 5 * (1 / 12 / len(rows)) ** 0.5  # spread evenly over the weights


def test_sparse_leaves_no_column_empty():
    for seed in range(50):
        P = matrix(Sparse(16, 16, seed=seed))
        np.testing.assert_allclose(np.linalg.norm(P, axis=0), 1, rtol=1e-6)


def test_forward_derivatives_arrive_without_backward_ones():
    projection = OneHot(3, 20, seed=0)
    z, tangent = torch.ones(3), torch.arange(3.0)
    with torch.no_grad(), forward_ad.dual_level():
        found = forward_ad.unpack_dual(projection(forward_ad.make_dual(z, tangent)))
    torch.testing.assert_close(found.primal, projection.matvec(z))
    torch.testing.assert_close(found.tangent, projection.matvec(tangent))
