"""Several threads multiply by one P at once, and each gets what it gets alone."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

import intrinsic
from intrinsic.projections import dense
from intrinsic.projections.granularity import draw
from tests.support.projections import RANDOM, make

THREADS, CALLS = 4, 12


def products(projection, k):
    """All ways to multiply, of arguments that are the k-th caller's own."""
    generator = torch.Generator().manual_seed(k)
    z = torch.randn(projection.dim, generator=generator)
    g, origin = torch.randn(2, projection.full_dim, generator=generator)
    out, apart = origin.clone(), torch.empty_like(origin)
    projection.displace(z, out, out)
    projection.displace(z, origin, apart)
    low, high = projection.full_dim // 3, projection.full_dim - 7
    rows = projection.multiply_rows(g[low:high], low)
    return torch.cat([projection(z), projection.adjoint(g), out, apart, rows])


def check(projection, other):
    """The first calls of a fresh P, which may make what is kept, come from several threads as well."""
    alone = [products(other, k) for k in range(CALLS)]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(partial(products, projection), range(CALLS)))
        marks = set(pool.map(lambda _: projection.fingerprint(), range(CALLS)))
    assert all(torch.equal(*pair) for pair in zip(found, alone, strict=True))
    assert marks == {other.fingerprint()}


CASES = [(name, "global") for name in RANDOM] + [("dense", "tensor"), ("sparse", "block")]


@pytest.mark.parametrize(("name", "granularity"), CASES)
def test_threads_share_a_projection(name, granularity):
    check(*(draw(partial(make, name), 30, [2000, 31, 1500], granularity=granularity, seed=1) for _ in range(2)))


def test_threads_share_signs_that_are_not_stored(monkeypatch):
    monkeypatch.setattr(dense, "STORED", 0)
    check(*(intrinsic.Dense(30, 3531, seed=1) for _ in range(2)))


@pytest.mark.parametrize("name", RANDOM)
def test_threads_use_projections_of_several_sizes(name):
    shapes = [(5, 333), (30, 3531), (64, 4096), (100, 4099)]
    projections = [make(name, *shape) for shape in shapes]
    alone = [products(make(name, *shapes[k % 4]), k) for k in range(CALLS)]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda k: products(projections[k % 4], k), range(CALLS)))
    assert all(torch.equal(*pair) for pair in zip(found, alone, strict=True))
