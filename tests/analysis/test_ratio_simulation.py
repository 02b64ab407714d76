"""Do intervals of a ratio hold it, and is P(a < b) right where a = b? Bands follow from the number of pairs.

`python -m analysis.ratio_simulation` draws 100 pairs a cell; its table is in docs/guides/reading_a_d90.md.
"""

import numpy as np
import pandas as pd
import pytest

from analysis.ratio_simulation import RATIOS, SHARED, ratio_table, simulate_ratios
from analysis.references.simulated_searches import DESIGNS

SEVEN, GRID, ADAPTIVE = DESIGNS
COUNT = 30  # pairs of each ratio


@pytest.fixture(scope="module")
def rows():
    return pd.concat([simulate_ratios(ratio, 0.03, GRID, range(COUNT)) for ratio in RATIOS])


@pytest.mark.slow
def test_coverage_over_all_ratios(rows):
    """92 to 98 %, and three standard errors of 90 pairs: below 85 % is no chance; all 90 may hold it."""
    error = np.sqrt(0.92 * 0.08 / len(rows))
    assert rows["covered"].mean() > 0.92 - 3 * error


@pytest.mark.slow
def test_p_less_under_equality_and_not(rows):
    equal, less, much = (rows[rows["ratio"] == ratio]["p_less"] for ratio in RATIOS)
    assert abs(equal.mean() - 0.5) < 3 * np.sqrt(1 / 12 / COUNT)  # as of uniform numbers
    assert (abs(equal - 0.5) > 0.475).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / COUNT)
    assert much.mean() < less.mean() < equal.mean()
    assert (much < 0.025).mean() > 0.5


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("design", [*DESIGNS, SHARED])
def test_coverage_of_a_design(design):
    """92 to 98 % within three standard errors of 120 pairs, and P(a < b) uniform or nearer 1/2."""
    rows = pd.concat([simulate_ratios(ratio, 0.03, design, range(40)) for ratio in RATIOS])
    assert rows["covered"].mean() > 0.92 - 3 * np.sqrt(0.92 * 0.08 / len(rows))
    equal = ratio_table(rows).set_index("ratio").loc[1.0]
    assert equal["outer"] < 0.5 + 3 * np.sqrt(0.25 / equal["pairs"])


def test_the_table_counts():
    found = {"covered": [True, False, True, True], "width": [1.0, 2.0, 3.0, 4.0], "p_less": [0.5, 0.99, 0.2, 0.01]}
    rows = pd.DataFrame({"design": "d", "ratio": 1.0} | found)
    assert ratio_table(rows).to_numpy().tolist() == [["d", 1.0, 4, 0.75, 2.5, 0.75, 0.5]]
