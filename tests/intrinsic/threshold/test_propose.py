"""The next dims to run."""

import numpy as np
import pytest

import intrinsic
from intrinsic.threshold import estimate_threshold, propose
from tests.support.curves import DIMS, GOOD, curve

RANGE = {"low": 10, "high": 10_000}


def searched(score, batch, *, runs=60, **range_):
    """Every batch of a search, to its end."""
    dims, scores, batches = [], [], []
    while len(dims) < runs:
        batches.append(propose(dims, scores, [1.0, 1.0], batch=batch, **range_ or RANGE))
        if not batches[-1]:
            break
        dims += batches[-1]
        scores += [score(dim) for dim in batches[-1]]
    return dims, scores, batches


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 20])
def test_spreads_first_then_closes_in(batch):
    dims, scores, batches = searched(lambda dim: float(dim >= 250), batch)
    assert batches[-1] == []
    assert all(len(some) == batch for some in batches[:-1])
    assert all(isinstance(dim, int) and 10 <= dim <= 10_000 for dim in dims)
    spread = np.sort(np.log10(dims[: max(7, batch)]))
    assert np.diff(spread).max() < 0.51  # 7 dims over three decades, rounded
    assert {10, 10_000} <= set(dims)
    found = estimate_threshold(dims, scores, [1.0, 1.0])
    assert found.low <= 250 <= found.high <= 1.3 * found.low


def test_is_deterministic():
    assert searched(curve, 2) == searched(curve, 2)


def test_closes_in_on_whole_numbers():
    """With nine the task fails and with ten it works: there is nothing more to find."""
    dims, scores, batches = searched(lambda dim: float(dim >= 10), 2, low=1, high=1000)
    assert batches[-1] == []
    assert {9, 10} <= set(dims)
    assert len(dims) < 20
    found = estimate_threshold(dims, scores, [1.0, 1.0])
    assert 9 <= found.low < found.high <= 10


@pytest.mark.parametrize("score", [0.1, 1.0])
def test_ends_where_the_threshold_is_beyond_the_range(score):
    dims, _, batches = searched(lambda dim: score, 2)
    assert batches[-1] == []
    assert {10, 10_000} <= set(dims)
    assert len(dims) == 6  # of the spread: the seventh would say nothing new


def test_goes_where_most_of_the_draws_are():
    """Nothing below 640 reaches the target: the search goes on above."""
    scores = [0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert min(propose(DIMS, scores, [1.0, 1.0], low=10, high=100_000, batch=2)) > 640
    assert max(propose(DIMS, [1.0] * 7, [1.0, 1.0], low=1, high=640, batch=1)) < 10


def test_stays_on_both_sides():
    """A run that misled, far below the others, doesn't keep the search on one side of the crossing."""
    dims, scores, _ = searched(lambda dim: curve(dim, 300), 2, runs=12)
    dims, scores = [*dims, 20], [*scores, 1.0]
    for _ in range(6):
        new = propose(dims, scores, [1.0, 1.0], **RANGE, batch=2, ratio=1.01)
        dims, scores = dims + new, scores + [float(curve(dim, 300)) for dim in new]
    assert min(dims[13:]) < 300 < max(dims[13:])
    assert estimate_threshold(dims, scores, [1.0, 1.0]).value == pytest.approx(300, rel=0.1)


@pytest.mark.parametrize("high", [2, 3, 5])
def test_tiny_ranges_end(high):
    dims, _, batches = searched(lambda dim: float(dim >= 2), 2, low=1, high=high, runs=40)
    assert set(dims) == set(range(1, high + 1)) or not batches[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 100, "high": 100}, "need low < high, got low=100, high=100"),
        ({"low": 0}, "need a whole low from 1 on, got low=0"),
        ({"batch": 0}, "need a whole batch from 1 on, got batch=0"),
        ({"ratio": 1.0}, "need ratio > 1, got ratio=1.0"),
        ({"baselines": []}, "need at least one baseline"),
        ({"estimator": "spline"}, "need estimator="),
        ({"fraction": 0}, "need 0 < fraction < 1, got fraction=0"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(intrinsic.UserError, match=message):
        propose(**GOOD | RANGE | {"batch": 2} | change)
