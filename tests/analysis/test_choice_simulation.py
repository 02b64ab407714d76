"""What choosing on the reported split adds to the report, against the exact mean of the best of k binomials."""

import numpy as np
import pytest
from scipy.stats import binom

from analysis.choice_simulation import ACCURACY, choice_table, main, simulate_choice


@pytest.mark.parametrize(("examples", "rates"), [(100, 3), (200, 10)])
def test_independent_rates_have_the_mean_of_the_best_binomial(examples, rates):
    (row,) = choice_table(simulate_choice(examples, rates, 0.0, 2000)).to_dict("records")
    below = binom.cdf(np.arange(examples), examples, ACCURACY) ** rates
    expected = 100 * (np.sum(1 - below) / examples - ACCURACY)  # E max = sum over m of P(max > m)
    assert row["on test"] == pytest.approx(expected, abs=4 * row["error"])
    assert abs(row["on validation"]) < 4 * row["error"]


def test_examples_that_are_hard_for_all_leave_less_to_chance():
    """And each rate is still right as often as it is said to be."""
    alike = simulate_choice(200, 10, 0.8, 500)["on test"].mean()
    assert 0 < alike < simulate_choice(200, 10, 0.0, 500)["on test"].mean()
    assert abs(simulate_choice(200, 1, 0.8, 2000)["on test"].mean()) < 4 * 0.3 * np.sqrt(1 / 200 / 2000)


def test_the_command(capsys):
    main(["--repeats", "2"])
    assert capsys.readouterr().out.split()[:3] == ["alike", "examples", "rates"]
