"""Simulated pairs of searches whose true ratio is known: do intervals of a / b hold it, and is P(a < b) right?

python -m analysis.ratio_simulation        100 pairs a cell on all cores, the table of docs/guides/reading_a_d90.md
"""

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from analysis.references.simulated_searches import DESIGNS, LOW, NOISES, RESAMPLES, SHAPES, search
from intrinsic.terminal.command import command
from intrinsic.terminal.command_parser import command_parser
from intrinsic.threshold import compare_thresholds, estimate_threshold

RATIOS = (1.0, 1.5, 4.0)
SHARED = f"{DESIGNS[0]}, one baseline"  # both are measured against the same runs of full training


def simulate_ratios(ratio: float, noise: float, design: str, numbers: Iterable[int]) -> pd.DataFrame:
    """One row for each pair: covered, p_less and the width of the interval in octaves.

    Each of the two has a shape drawn from all; b's threshold is drawn evenly in log d from 32 to 64 times the smallest
    dim, and a's is `ratio` times that.

    Args:
        ratio: a / b in truth.
        noise: see `analysis.references.simulated_searches.search`.
        design: see there, or `SHARED`.
        numbers: of the pairs; the same number is the same pair.
    """
    rows, names = [], list(SHAPES)
    for number in numbers:
        rng = np.random.default_rng([number, round(1000 * noise), round(100 * ratio)])
        shapes = [names[k] for k in rng.integers(len(names), size=2)]
        below = np.log2(LOW) + rng.uniform(5, 6)
        a, b = (
            search(shape, noise, DESIGNS[0] if design == SHARED else design, 2 * number + k, float(truth))
            for k, (shape, truth) in enumerate(zip(shapes, (below + np.log2(ratio), below), strict=True))
        )
        if design == SHARED:
            b = replace(b, baselines=a.baselines)
        found = compare_thresholds(
            *(estimate_threshold(each.dims, each.scores, each.baselines, resamples=RESAMPLES) for each in (a, b))
        )
        low, high = found.low or 0.0, np.inf if found.high is None else found.high
        rows.append(
            {
                "ratio": ratio,
                "noise": noise,
                "design": design,
                "a": shapes[0],
                "b": shapes[1],
                "covered": low <= ratio <= high,
                "p_less": found.p_less,
                "width": np.log2(high / low) if low else np.inf,
            }
        )
    return pd.DataFrame(rows)


def ratio_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each design and ratio: coverage, median width, and how often P(a < b) lies beyond 2.5 or 97.5 %.

    Under equality P(a < b) is uniform where `beyond` is 0.05 and `outer`, the share below 0.25 or above 0.75, is 0.5;
    else `beyond` is how often a difference is seen.
    """
    apart = (rows["p_less"] - 0.5).abs()
    cells = rows.assign(beyond=apart > 0.475, outer=apart > 0.25).groupby(["design", "ratio"], sort=False)
    return cells.agg(
        pairs=("covered", "size"),
        coverage=("covered", "mean"),
        width=("width", "median"),
        outer=("outer", "mean"),
        beyond=("beyond", "mean"),
    ).reset_index()


def main() -> None:
    """Simulate every cell and print the table."""
    parser = command_parser("analysis.ratio_simulation", __doc__)
    parser.add_argument("--pairs", type=int, default=100, help="in each cell of design, noise and ratio (default: 100)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: %(default)s)")
    options = parser.parse_args()
    cells = product(RATIOS, NOISES, (*DESIGNS, SHARED), [range(options.pairs)])
    with command():
        with ProcessPoolExecutor(options.workers) as pool:
            rows = pd.concat(pool.map(simulate_ratios, *zip(*cells, strict=True)))
        for table in (ratio_table(rows), ratio_table(rows.assign(design=rows["noise"].map("noise {:g}".format)))):
            print(table.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
