"""Do the default's intervals hold the truth as often as they say, and is the adaptive search as sharp as promised?

`python -m analysis.simulation` draws the same at 200 searches a cell.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from analysis.references.simulated_searches import BASELINE, DESIGNS, NOISES, SHAPES, TARGET
from analysis.simulation import simulate

pytestmark = pytest.mark.slow
SEVEN, GRID, ADAPTIVE = DESIGNS
GRIDS = {"few": 10, "many": 40}  # searches a cell of shape, noise and grid
SEARCHES = {"few": dict.fromkeys(NOISES, 5), "many": {0.01: 20, 0.03: 60, 0.06: 20}}  # adaptive ones, by noise
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_count = pytest.mark.parametrize("count", ["few", pytest.param("many", marks=pytest.mark.nightly)])


@cache
def searches(count, shape, noise):
    """Every design: 25 searches, or 100 to 140."""
    parts = [simulate(shape, noise, design, range(GRIDS[count])) for design in (SEVEN, GRID)]
    return pd.concat([*parts, simulate(shape, noise, ADAPTIVE, range(SEARCHES[count][noise]))])


def error_of(rate, rows):
    """The standard error of a share that is `rate` in truth."""
    return np.sqrt(rate * (1 - rate) / len(rows))


def rmse(rows):
    return float(np.sqrt(np.mean(rows["error"] ** 2)))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_threshold_of_a_shape_is_its_crossing(shape):
    u = np.linspace(-10, 10, 20_001)
    reached = SHAPES[shape](u) >= TARGET - 1e-9
    assert abs(u[reached.argmax()]) < 1.1e-3
    assert reached[reached.argmax() :].all()
    assert SHAPES[shape](np.array([60.0]))[0] == pytest.approx(BASELINE)


@every_shape
@pytest.mark.parametrize("noise", NOISES)
@every_count
def test_coverage_of_a_cell(count, shape, noise):
    """92 to 98 %, and as many fewer as chance makes in one cell of 1000 (3.1 standard errors)."""
    covered = searches(count, shape, noise)["covered"]
    assert covered.mean() > 0.92 - 3.1 * error_of(0.92, covered)


@every_shape
@every_count
def test_coverage_of_a_shape(count, shape):
    """From 92 to 98 %, give or take one standard error at 95 %: 1.2 % for the 340 searches of a shape."""
    covered = pd.concat([searches(count, shape, noise) for noise in NOISES])["covered"]
    assert 0.92 - error_of(0.95, covered) < covered.mean()
    assert count == "few" or covered.mean() < 0.98 + error_of(0.95, covered)  # few may all hold the truth


@every_count
def test_coverage_over_all(count):
    """Of 375 searches, or 1700: a standard error of 1.1 or 0.5 %."""
    covered = pd.concat([searches(count, shape, noise) for shape in SHAPES for noise in NOISES])["covered"]
    assert 0.92 < covered.mean() < 0.98 + (error_of(0.95, covered) if count == "few" else 0)


def test_a_global_logistic_covers_less():
    """Why the default is none: the test above can tell."""
    rows = simulate("two phases", 0.01, GRID, range(20), ["logistic"])
    assert rows["covered"].mean() < 0.5


@every_shape
@pytest.mark.nightly  # of few searches it says nothing
def test_error_of_an_adaptive_search(shape):
    """60 searches: the RMSE has a standard error of 9 %."""
    rows = searches("many", shape, 0.03).query("design == @ADAPTIVE")
    assert rows["runs"].max() == 21
    assert rmse(rows) <= (0.10 if shape == "logistic" else 0.15)


@every_shape
@pytest.mark.nightly
def test_error_of_the_first_crossing_of_a_grid(shape):
    """Half an octave between dims, rounded up: 0.5 / sqrt(3) = 0.29 without noise, as for the step; with noise more."""
    few = simulate(shape, 0.03, SEVEN, range(200), ["first_crossing"])
    many = simulate(shape, 0.03, GRID, range(200), ["first_crossing"])
    assert rmse(few) > 0.9
    assert rmse(many) >= (0.27 if shape == "step" else 0.3)
