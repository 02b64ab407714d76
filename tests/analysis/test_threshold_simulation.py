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
GRIDS = 40  # searches a cell of shape, noise and grid
SEARCHES = {0.01: 20, 0.03: 60, 0.06: 20}  # adaptive ones, by noise
every_shape = pytest.mark.parametrize("shape", SHAPES)


@cache
def searches(shape, noise):
    """Every design: 100 to 140 searches."""
    parts = [simulate(shape, noise, design, range(GRIDS)) for design in (SEVEN, GRID)]
    return pd.concat([*parts, simulate(shape, noise, ADAPTIVE, range(SEARCHES[noise]))])


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
def test_coverage_of_a_cell(shape, noise):
    """92 to 98 %, and of 100 searches as many fewer as chance makes in one of 1000 (3.1 standard errors)."""
    covered = searches(shape, noise)["covered"]
    assert covered.mean() > 0.92 - 3.1 * np.sqrt(0.92 * 0.08 / len(covered))


@every_shape
def test_coverage_of_a_shape(shape):
    """340 searches: a standard error of 1.2 % at 95 %; from 92 to 98 %, give or take one of it."""
    covered = pd.concat([searches(shape, noise) for noise in NOISES])["covered"]
    assert 0.92 - 0.012 < covered.mean() < 0.98 + 0.012


def test_coverage_over_all():
    """1700 searches: a standard error of 0.5 %."""
    covered = pd.concat([searches(shape, noise) for shape in SHAPES for noise in NOISES])["covered"]
    assert 0.92 < covered.mean() < 0.98


def test_a_global_logistic_covers_less():
    """Why the default is none: the test above can tell."""
    rows = simulate("two phases", 0.01, GRID, range(20), ["logistic"])
    assert rows["covered"].mean() < 0.5


@every_shape
def test_error_of_an_adaptive_search(shape):
    """60 searches: the RMSE has a standard error of 9 %."""
    rows = searches(shape, 0.03).query("design == @ADAPTIVE")
    assert rows["runs"].max() == 21
    assert rmse(rows) <= (0.10 if shape == "logistic" else 0.15)


@every_shape
def test_error_of_the_first_crossing_of_a_grid(shape):
    """Half an octave between dims, rounded up: 0.5 / sqrt(3) = 0.29 without noise, as for the step; with noise more."""
    few = simulate(shape, 0.03, SEVEN, range(200), ["first_crossing"])
    many = simulate(shape, 0.03, GRID, range(200), ["first_crossing"])
    assert rmse(few) > 0.9
    assert rmse(many) >= (0.27 if shape == "step" else 0.3)
