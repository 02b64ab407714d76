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
from intrinsic.testing.check_projection import RULES
from intrinsic.testing.state_rules import UNFIT
from tests.support.configs import names
from tests.support.projections import RANDOM, constructor, make, matrix

SIZES = [(1, 1), (5, 5), (30, 333), (100, 4099)]
random_projections = pytest.mark.parametrize("name", RANDOM)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", names("projection"))
def test_rule(name, rule):
    """What `intrinsic.testing.check_projection` checks."""
    RULES[rule](constructor(name))


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


@pytest.mark.parametrize(("dim", "full_dim"), SIZES)
@random_projections
def test_the_plan_is_what_is_stored(name, dim, full_dim):
    projection = make(name, dim, full_dim)
    stored = sum(tensor.nbytes for tensor in projection.fixed_tensors().values())
    # the number of entries of a sparse matrix is random, with deviation sqrt(expected)
    slack = 16 * 5 * (dim * full_dim**0.5) ** 0.5 if name == "sparse" else 0
    assert abs(projection.nbytes - stored) <= slack


@pytest.mark.parametrize("name", ["sparse", "fastfood"])
def test_too_large_is_refused_before_allocation(name, monkeypatch):
    monkeypatch.setattr(base.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    with pytest.raises(UserError, match=r"needs .* GB for dim=10000.*projection=onehot"):
        make(name, 10_000, 10**9)


@pytest.mark.parametrize("dim", UNFIT)
def test_dim_must_fit(dim):
    with pytest.raises(UserError, match=r"need (0 < dim <= full_dim|an integer dim), got dim="):
        make("dense", dim, 10)


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
