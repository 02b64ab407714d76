"""Rows of P as one process of several holds them: those of the whole P."""

from functools import partial

import numpy as np
import pytest
import torch

import intrinsic
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.granularity import draw
from intrinsic.projections.kernels import draws
from intrinsic.projections.row_blocks import dense_rows, fastfood_rows, kronecker_rows, onehot_rows
from intrinsic.projections.row_blocks.borders import borders
from intrinsic.projections.row_blocks.row_blocks import RowBlocks
from tests.support.projections import RANDOM, constructor

SIZES, BOUNDS = [1000, 10, 700, 389], [(0, 503), (5, 5), (100, 101), (7, 389)]


class Own(intrinsic.Dense):
    """A projection of somebody else's, without a file for its rows."""


MAKES = {name: constructor(name) for name in RANDOM} | {
    "dense gaussian": partial(intrinsic.Dense, entries="gaussian"),
    "fastfood signs": partial(intrinsic.Fastfood, entries="signs"),
    "own": Own,
}


ZERO = [(3, 20), (495, 510), (1110, 1111)]


def blocks(make, dim=50, granularity="global", bounds=BOUNDS, zero=()):
    return RowBlocks(make, dim, SIZES, bounds, granularity=granularity, seed=3, zero=zero)


@pytest.mark.parametrize("granularity", ["global", "tensor", "block"])
@pytest.mark.parametrize(("name", "zero"), [*((name, []) for name in MAKES), ("onehot", ZERO)])
def test_they_are_rows_of_the_whole(name, zero, granularity):
    P = draw(MAKES[name], 50, SIZES, granularity=granularity, seed=3, zero=zero)
    some = blocks(MAKES[name], 50, granularity, zero=zero)
    z, g = torch.linspace(-1, 1, 50).double(), torch.linspace(1, -2, sum(SIZES)).double()
    total, held = torch.zeros(50).double(), []
    for number, ((low, high), moved, pulled) in enumerate(
        zip(BOUNDS, P(z).split(SIZES), g.split(SIZES), strict=True)
    ):  # entries of P are rounded to float32 in some
        torch.testing.assert_close(some.multiply(z, number), moved[low:high], atol=1e-7, rtol=0)
        some.pull_back(pulled[low:high], number, total)
        held.append(torch.zeros_like(pulled).index_fill(0, torch.arange(low, high), 1))
    torch.testing.assert_close(total, P.adjoint(g * torch.cat(held)), atol=1e-6, rtol=0)
    assert some.fingerprint() == P.fingerprint()


@pytest.mark.parametrize("name", ["onehot", "fastfood", "fastfood signs", "kronecker", "dense gaussian"])
def test_the_fingerprint_of_a_whole_that_is_never_there(name, monkeypatch):
    """In parts of some hundred weights, drawn by kernels, whereas the whole P is drawn by numpy."""
    sizes = [30_001, 999]
    expected = draw(MAKES[name], 50, sizes, granularity="global", seed=3).fingerprint()
    monkeypatch.setattr(draws, "LEAST", 1)
    for module in (dense_rows, fastfood_rows, kronecker_rows, onehot_rows):
        monkeypatch.setattr(module, "_PART", 640)
    for kind in (intrinsic.OneHot, intrinsic.Fastfood, intrinsic.Kronecker, intrinsic.Dense):
        monkeypatch.setattr(kind, "fingerprint", None)
    some = RowBlocks(MAKES[name], 50, sizes, [(7, 8), (0, 5)], granularity="global", seed=3)
    assert some.fingerprint() == expected


BYTES = {"kronecker": 1, "fastfood": 7, "dense": 32 / 8, "onehot": 2, "sparse": 16 * 32 / 100_000**0.5}


@pytest.mark.parametrize("name", BYTES)
def test_they_hold_so_many_bytes_a_row(name):
    """As docs/tutorials/sharded_models.md has it, within a tenth and what the factors of kronecker take."""
    some = RowBlocks(MAKES[name], 32, [100_000], [(30_000, 40_000)], granularity="global", seed=0)
    assert abs(some.nbytes - 10_000 * BYTES[name]) < 1_000 * BYTES[name] + 2_500


@pytest.mark.parametrize(("dim", "full_dim"), [(1, 1), (1, 5), (5, 5), (7, 100), (1000, 1 << 16), (99, 100)])
@pytest.mark.parametrize("distinct", [2**64, 8])
def test_borders_are_those_of_the_permutation(dim, full_dim, distinct, monkeypatch):
    """Equal keys, which a stable sort leaves in their order, too."""
    drawn = rng.keys
    monkeypatch.setattr(rng, "keys", lambda *args, **more: drawn(*args, **more) // np.uint64(2**64 // distinct))
    sizes = np.full(dim, full_dim // dim)
    sizes[: full_dim % dim] += 1
    group = np.empty(full_dim, dtype=int)
    seed = rng.fan_out(9, "partition")
    group[rng.permutation(seed, full_dim)] = np.repeat(np.arange(dim), sizes)
    found = borders(dim, full_dim, seed=seed)
    for low in (0, full_dim // 3):
        np.testing.assert_array_equal(found.group(rng.keys(seed, full_dim - low, start=low), low), group[low:])
    if distinct == 2**64:
        monkeypatch.setattr(draws, "LEAST", 1)  # by kernels
        compiled = borders(dim, full_dim, seed=seed)
        np.testing.assert_array_equal(compiled.keys, found.keys)
        np.testing.assert_array_equal(compiled.weights, found.weights)
        for low in (0, full_dim // 3):
            rows = onehot_rows.OneHotRows(compiled, low, full_dim, full_dim=full_dim, seed=9)
            np.testing.assert_array_equal(rows.code >> 1, group[low:])


BAD = {
    "dim": ({"dim": 3000}, "need 0 < dim <= full_dim, got dim=3000, full_dim=2099"),
    "granularity": ({"granularity": "row"}, "need granularity=global, tensor or block, got granularity=row"),
    "block": ({"granularity": "block", "dim": 3}, "a coordinate for each of 4 tensors, got dim=3"),
    "entries": ({"make": partial(intrinsic.Dense, entries="none")}, "need entries=rademacher or"),
    "memory": ({"make": intrinsic.Dense, "dim": 2000, "bounds": [(0, 10**12)] * 4}, "GB of memory are free"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case):
    options, message = BAD[case]
    with pytest.raises(UserError, match=message):
        blocks(**{"make": intrinsic.OneHot, **options})
