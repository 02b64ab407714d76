"""Shares of variance: formulas by least squares, shares that are known, and designs that are refused."""

from itertools import product

import numpy as np
import pytest

from analysis.studies.variance_shares import variance_shares
from analysis.variance import variance
from intrinsic.errors import UserError
from tests.support.studies import add, python, refused

pytestmark = pytest.mark.slow

NAMES = ("init", "projection", "order")


def square(size):
    """A Latin square: three sources of `size` levels in size^2 runs."""
    runs = np.array([(i, j, (i + j) % size) for i, j in product(range(size), repeat=2)])
    return dict(zip(NAMES, runs.T.tolist(), strict=True))


def simulated(rng, levels, sds, size):
    """Scores of independent normal effects, the last sd that of the residual."""
    effects = [rng.normal(0, sd, size)[of] for sd, of in zip(sds, levels.values(), strict=False)]
    return sum(effects) + rng.normal(0, sds[-1], size**2)


def test_variances_are_those_of_least_squares():
    rng, size = np.random.default_rng(0), 5
    levels = square(size)
    y = simulated(rng, levels, (3, 2, 4, 0.5), size)
    columns = [np.eye(size)[of] for of in levels.values()]

    def left(parts):
        design = np.hstack([np.ones((size**2, 1)), *parts])
        return np.sum((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2)

    residual = left(columns) / (size**2 - 1 - 3 * (size - 1))
    expected = [
        ((left(columns[:k] + columns[k + 1 :]) - left(columns)) / (size - 1) - residual) / size for k in range(3)
    ]
    found = variance_shares(levels, y)
    np.testing.assert_allclose(found.variance, [*expected, residual], rtol=1e-10)
    np.testing.assert_allclose(found.share, found.variance / found.variance.sum())
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()


def test_known_shares_are_found_and_intervals_hold_them():
    rng, size = np.random.default_rng(1), 7
    levels, sds = square(size), np.array([2.0, 1.0, 0.0, 1.0])
    found = [variance_shares(levels, simulated(rng, levels, sds, size), seed=k) for k in range(200)]
    mean = np.mean([each.variance for each in found], axis=0)
    # of 200 estimates with 6 degrees of freedom: 3 sqrt(2 / 6 / 200) = 12 %; the third is kept from falling below 0
    np.testing.assert_allclose(mean, sds**2, rtol=0.15, atol=0.05)
    truth = sds**2 / np.sum(sds**2)
    held = np.mean([(each.low <= truth) & (truth <= each.high) for each in found], axis=0)
    assert (held >= 0.92).all(), held  # 95 %, less 2 standard errors of 200


def test_an_interaction_is_residual():
    """An effect of each pair of init and projection, as large as theirs: the order, which meets it, gets none of it."""
    rng, size = np.random.default_rng(2), 7
    levels = square(size)
    found = [
        variance_shares(levels, simulated(rng, levels, (1, 1, 0, 0), size) + rng.normal(0, 1, size**2))
        for _ in range(100)
    ]
    np.testing.assert_allclose(np.mean([each.variance for each in found], axis=0), [1, 1, 0, 1], rtol=0.25, atol=0.06)


def measured(study, size=3, dims=(30, 100), *, without=(), **more):
    """A study of Latin squares."""
    rng = np.random.default_rng(0)
    effects = rng.normal(0, 0.01, (3, size))
    for dim in dims:
        for i, j in product(range(size), repeat=2):
            seeds = {"init": i, "projection": j, "order": (i + j) % size, "dropout": None}
            if (dim, i, j) not in without:
                test = 0.8 + sum(effects[range(3), [i, j, (i + j) % size]]) + rng.normal(0, 0.002)
                add(study, "subspace", test=test, projection="Dense", dim=dim, seeds=seeds, **more)
    return study


def test_a_study_is_drawn_and_printed(study):
    drawn = variance(measured(study))
    assert list(drawn.table) == ["dim", "runs", "mean", "sd", *NAMES, "residual"]
    assert drawn.table["runs"].tolist() == [9, 9]
    assert drawn.effort == ("runs of each size: 9 · levels of each source: 3 · epochs: 30",)
    assert list(drawn.rows["source"]) == [*NAMES, "residual"] * 2
    np.testing.assert_allclose(drawn.rows.groupby("x")["share"].sum(), 1)
    done = python("-m", "analysis.variance", study, "--confidence", "0.8")
    assert done.returncode == 0
    assert "projection" in done.stdout
    assert "variance.png" in done.stdout


def test_sources_that_vary_together_are_one(study):
    for i, j in product(range(3), repeat=2):
        add(study, "subspace", test=0.8 + 0.01 * i + 0.003 * j * (i + 1), dim=30, seed=i, seeds={"projection": j})
    assert list(variance(study).rows["source"]) == ["init + order + dropout", "projection", "residual"]


def test_what_is_no_crossed_design_is_refused(tmp_path):
    def check(rule, name, *, more=(), **options):
        study = measured(tmp_path / name, **options)
        for runs in more:
            add(study, "subspace", projection="Dense", **runs)
        refused(rule, study, figure=variance)

    check(r"dim=30: need 3 levels or more of init, got 0, 1", "few", size=2)
    check(
        r"dim=100: no run has init=1 with projection=2 \(1 of 9 pairs are missing\)", "missing", without=[(100, 1, 2)]
    )
    again = {"dim": 30, "lr": 0.1, "seeds": {"init": 0, "projection": 0, "order": 0}}
    check("dim=30: 2 runs have init=0 with projection=0: .* --where KEY=VALUE chooses", "twice", more=[again])
    lost = {"dim": 30, "seeds": {"init": 5, "projection": 0, "order": 0}, "status": "diverged"}
    check("dim=30: 1 of 10 runs have no score, .* has diverged", "lost", more=[lost])
    for seed in (0, 1, 2):
        add(tmp_path / "plain", "subspace", projection="Dense", dim=30, seed=seed)
        add(tmp_path / "alone", "subspace", projection="Dense", dim=30, seeds={"projection": seed})
    refused("no run has seeds apart .*experiment=variance` makes some", tmp_path / "plain", figure=variance)
    refused("dim=30: need two sources that vary, got projection", tmp_path / "alone", figure=variance)
    refused("need 0 < confidence < 1, got confidence=2", tmp_path / "plain", figure=variance, confidence=2)


@pytest.mark.parametrize(
    ("levels", "scores", "rule"),
    [
        (square(3), [1.0] * 9, "need scores that differ, got 1 in all of 9 runs"),
        (
            square(3) | {"dropout": [(i + 2 * j) % 3 for i, j in product(range(3), repeat=2)]},
            list(range(9)),
            "4 sources leave nothing for the residual of 9 runs: take more levels",
        ),
    ],
)
def test_what_leaves_nothing_to_share_is_refused(levels, scores, rule):
    with pytest.raises(UserError, match=rule):
        variance_shares(levels, scores)
