"""Compiled draws: the bits of numpy's at every size and number of threads, and the memory that a drawing takes."""

import copy
import pickle
import tracemalloc
import warnings

import numba
import numpy as np
import pytest
import torch

import intrinsic
from intrinsic import rng
from intrinsic.projections.kernels import (
    blocks_cpu,
    draws,
    groups_cpu,
    keys,
    lanes_cpu,
    permutation_cpu,
    streams_cpu,
)
from intrinsic.projections.onehot import OneHot
from tests.support.projections import RANDOM, constructor, make

pytestmark = pytest.mark.slow

SEED = (9 << 40) + 5
# around a tile, a bucket's first split, a chunk of 64, and with a last one that is cut
SIZES = [1, 2, 23, keys.TILE - 1, keys.TILE + 1, permutation_cpu.BUCKET, 64 * keys.TILE + 3, 200_003]


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_a_permutation(threads):
    for count in SIZES:
        out = np.empty(count, np.int32)
        permutation_cpu.permutation(SEED, out)
        np.testing.assert_array_equal(out, rng.permutation(SEED, count))


def test_groups(threads):
    for count in SIZES:
        place = np.empty(count, np.int64)
        place[rng.permutation(SEED, count)] = np.arange(count)
        for dim in {1, min(3, count), min(750, count), -(-count // 2), count}:
            sizes = np.full(dim, count // dim) + (np.arange(dim) < count % dim)
            out = np.empty(count, np.int16 if dim <= 1 << 14 else np.int32)
            groups_cpu.groups(SEED, 7, dim, out)
            expected = 2 * np.repeat(np.arange(dim), sizes)[place] + (rng.signs(7, count) > 0)
            np.testing.assert_array_equal(out, expected)


def test_blocks_lanes_and_streams(threads):
    for n, rows, dtype in ((1, 40, np.uint16), (2, 35_000, np.uint16), (1024, 70, np.uint16), (1 << 17, 2, np.uint32)):
        shape, count = (rows, n), rows * n
        for draw in (rng.normals, rng.signs):
            sign, gain, source = np.empty(shape, np.int8), np.empty(shape, np.float32), np.empty(shape, dtype)
            blocks_cpu.blocks([1, 2, 3], draw is rng.normals, sign, gain, source)
            numbers = draw(2, count).reshape(shape)
            np.testing.assert_array_equal(sign.reshape(-1), rng.signs(1, count))
            np.testing.assert_array_equal(gain, np.float32(numbers / np.linalg.norm(numbers, axis=1, keepdims=True)))
            expected = rng.keys(3, count).reshape(shape).argsort(axis=1, kind="stable")
            np.testing.assert_array_equal(source, expected)
    for dim, start, count in ((1, 0, 1), (9, 3, 2), (33, 5, 700)):
        out = np.zeros((count, 64), np.uint32)
        lanes_cpu.lanes(SEED, dim, start, out)
        columns = [rng.bits(SEED, count, lane=j, start=start) for j in range(dim)]
        np.testing.assert_array_equal(out[:, :dim].T, columns)
        assert not out[:, dim:].any()
    for count in (1, 33, streams_cpu._PART + 31):
        np.testing.assert_array_equal(streams_cpu.signs(SEED, count), rng.signs(SEED, count))
        found = streams_cpu.normals(SEED, min(count, 100), lane=2**40, start=8)
        np.testing.assert_array_equal(found, rng.normals(SEED, min(count, 100), lane=2**40, start=8))


@numba.njit
def sort(values, index, prefix, counts, found, order):
    keys.sort(values, index, prefix, counts, found, order)


def test_equal_keys_stay_in_order():
    random = np.random.default_rng(0)
    for count in (5, 24, 25, 3000):
        values = random.integers(0, count // 3 + 1, count).astype(np.uint64) << np.uint64(50)
        found, order, counts = np.empty(count, np.uint64), np.empty(count, np.int64), np.empty(2 * count + 2, np.int64)
        sort(values, np.arange(count), 0, counts, found, order)
        np.testing.assert_array_equal(order, values.argsort(kind="stable"))
        np.testing.assert_array_equal(found, np.sort(values))


@pytest.mark.parametrize("name", RANDOM)
def test_every_projection_has_the_same_bits(name, monkeypatch):
    sizes = [(1, 1), (3, 1000), (33, 4099), (700, 5001)]
    before = [make(name, *size, seed=3).fingerprint() for size in sizes]
    monkeypatch.setattr(draws, "LEAST", 0)
    assert [make(name, *size, seed=3).fingerprint() for size in sizes] == before
    if name == "dense":
        marks = set()
        for least in (0, 10**9):
            monkeypatch.setattr(draws, "LEAST", least)
            marks.add(intrinsic.Dense(5, 70_001, seed=1, entries="gaussian").fingerprint())
        assert len(marks) == 1


def test_a_wrong_draw_is_left_out(monkeypatch):
    right = groups_cpu.groups
    monkeypatch.setattr(groups_cpu, "groups", lambda *arguments: (right(*arguments), arguments[-1].__iadd__(2)))
    monkeypatch.setattr(draws, "LEAST", 0)
    draws.proven.cache_clear()
    with pytest.warns(RuntimeWarning, match="draw of groups is left out, and numpy draws: ArithmeticError"):
        found = make("onehot", 30, 1000, seed=1).fingerprint()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make("onehot", 30, 1000, seed=1).fingerprint() == found == "0fb705da659a27a8"
    draws.proven.cache_clear()


@pytest.mark.parametrize("least", [0, 10**9], ids=["compiled", "numpy"])
@pytest.mark.parametrize("name", RANDOM)
def test_drawing_takes_no_more_memory_than_it_says(name, least, monkeypatch):
    monkeypatch.setattr(draws, "LEAST", least)
    dim, full_dim = (100, 300_000) if name in ("dense", "sparse", "trajectory") else (3000, 1_500_000)
    make(name, 3, 10)
    tracemalloc.start()
    projection = make(name, dim, full_dim)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slack = 16 * 5 * (dim * full_dim**0.5) ** 0.5 if name == "sparse" else 0  # a random number of entries
    assert projection.nbytes <= peak <= projection.peak(dim, full_dim) + slack


def test_an_order_is_there_when_it_is_asked_for():
    projection = make("onehot", 5, 1000)
    assert projection.nbytes == sum(tensor.nbytes for tensor in projection.fixed_tensors().values())
    mark = projection.fingerprint()
    assert "order" not in projection.fixed_tensors()  # the fingerprint's own is gone
    copies = [copy.deepcopy(projection), pickle.loads(pickle.dumps(projection))]  # noqa: S301
    product = projection.rmatvec(torch.arange(1000.0))
    assert projection.fixed_tensors()["order"] is projection.order
    assert projection.order.dtype == torch.int32
    assert projection.fingerprint() == mark
    assert copy.deepcopy(projection).order is projection.order
    for copied in copies:
        assert "order" not in copied.fixed_tensors()
        assert torch.equal(copied.rmatvec(torch.arange(1000.0)), product)
    with torch.no_grad():
        projection.order[0] += 1
    assert projection.fingerprint() != mark
    with pytest.raises(intrinsic.errors.UserError, match="no values on the meta device"):
        make("onehot", 5, 1000).to("meta").fingerprint()


def test_a_tracer_needs_no_order():
    projection = constructor("onehot")(5, 1000, seed=0)
    g = torch.linspace(-1, 1, 2000, dtype=torch.float64).view(2, 1000)
    found = torch.func.vmap(projection.rmatvec)(g)
    assert "order" not in projection.fixed_tensors()
    torch.testing.assert_close(found, projection.rmatvec(g))


def test_a_net_is_made_without_a_fingerprint(monkeypatch):
    """It takes the order of all weights, and is computed when a record or a state dict asks for it."""
    monkeypatch.setattr(OneHot, "fingerprint", None)
    net = intrinsic.Subspace(torch.nn.BatchNorm1d(4), projection=OneHot, dim=3)
    assert "order" not in net.projection.fixed_tensors()
