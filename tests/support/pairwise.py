"""The pairwise grid in place of the full product."""

from itertools import combinations, product

import pytest


def pairwise(*axes):
    """The product of the axes, as parameters: rows in which every two values meet by day, all others by night."""
    rows = list(product(*axes))
    pairs = {row: set(combinations(enumerate(row), 2)) for row in rows}
    missing, chosen = set().union(*pairs.values()), set()
    while missing:
        row = max(rows, key=lambda row: len(pairs[row] & missing))
        chosen.add(row)
        missing -= pairs[row]
    return [pytest.param(*row, marks=[] if row in chosen else pytest.mark.nightly) for row in rows]


def diagonal(first, second):
    """All pairs, as parameters: by day those of the first value, and so many that every value is in one."""
    count = min(len(first), len(second))
    return [
        pytest.param(a, b, marks=[] if i == 0 or (i - j) % count == 0 else pytest.mark.nightly)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
    ]
