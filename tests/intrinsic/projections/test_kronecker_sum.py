"""The Kronecker sum against its formula, and its directions."""

import numpy as np
import pytest
import torch

import intrinsic
from intrinsic import rng


@pytest.mark.parametrize(("dim", "full_dim"), [(1, 1), (5, 5), (7, 100), (19, 100), (40, 100), (100, 101)])
def test_it_is_the_formula(dim, full_dim):
    P = intrinsic.KroneckerSum(dim, full_dim, seed=3)
    (rows, _), (columns, _) = P.left.shape, P.right.shape
    R1, R2 = (
        rng.normals(rng.fan_out(3, name), count * dim).reshape(count, dim)
        for name, count in (("left", rows), ("right", columns))
    )
    expected = np.kron(R1, np.ones((columns, 1))) + np.kron(np.ones((rows, 1)), R2)
    found = P(torch.eye(dim, dtype=torch.float64)).T.numpy()
    np.testing.assert_allclose(found, expected[:full_dim] / (2 * full_dim) ** 0.5, rtol=1e-6, atol=1e-6)
    assert np.linalg.matrix_rank(found) == dim


def test_it_is_as_square_as_its_directions_allow():
    found = [intrinsic.KroneckerSum(dim, 100, seed=0) for dim in (1, 19, 20, 40)]
    assert [(len(P.left), len(P.right)) for P in found] == [(10, 10), (10, 10), (12, 9), (50, 2)]
