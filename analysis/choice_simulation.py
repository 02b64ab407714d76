"""Simulated choices of a learning rate: what is reported too high where it is chosen on the data that is reported.

python -m analysis.choice_simulation        the table of docs/guides/seeds_and_effort.md, in a quarter of a minute
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import ndtri

from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import command_parser

ACCURACY = 0.9  # of every rate in truth: none is better, so that all of the best one's lead is luck
EXAMPLES = (100, 1000, 10_000)
RATES = (3, 10, 30)
ALIKE = (0.0, 0.8)  # correlation of what makes an example hard for two rates: none, and as of one network's


def simulate_choice(examples: int, rates: int, alike: float, repeats: int, seed: int = 0) -> pd.DataFrame:
    """One row for each repeat: the test score of the best of `rates`, less the truth, chosen on test or validation.

    Rate i is right about example j where sqrt(alike) u_j + sqrt(1 - alike) e_ij < t, u and e normal, t such that each
    is right with probability `ACCURACY`. Validation has as many examples as test.
    """
    rng = np.random.default_rng([seed, examples, rates, round(100 * alike)])
    rows = []
    for _ in range(repeats):
        test, validation = (_scores(examples, rates, alike, rng) for _ in range(2))
        rows.append(
            {
                "examples": examples,
                "rates": rates,
                "alike": alike,
                "on test": test.max() - ACCURACY,
                "on validation": test[validation.argmax()] - ACCURACY,
            }
        )
    return pd.DataFrame(rows)


def choice_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean of each cell, in points of accuracy, with the largest standard error of the two as `error`."""
    cells = rows.groupby(["alike", "examples", "rates"], sort=False)[["on test", "on validation"]]
    return (100 * cells.mean()).assign(error=100 * cells.sem().max(axis=1)).reset_index()


def _scores(examples: int, rates: int, alike: float, rng: np.random.Generator) -> np.ndarray:
    """The share of the examples that each rate is right about: (rates,)."""
    hard = np.sqrt(alike) * rng.standard_normal(examples)
    own = np.sqrt(1 - alike) * rng.standard_normal((rates, examples))
    right: np.ndarray = (hard + own < ndtri(ACCURACY)).mean(axis=1)
    return right


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate every cell and print the table."""
    parser = command_parser("analysis.choice_simulation", __doc__)
    parser.add_argument("--repeats", type=int, default=300, help="of each cell (default: %(default)s)")
    options = parser.parse_args(arguments)
    with command():
        cells = product(EXAMPLES, RATES, ALIKE)
        table = choice_table(pd.concat([simulate_choice(*cell, options.repeats) for cell in cells]))
        print(table.sort_values(["alike", "examples", "rates"]).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
