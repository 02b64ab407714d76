"""A horizontal line of a figure of scores."""

from typing import NamedTuple

THIN = "-."  # the line style of the start, which is drawn thinner than a baseline


class Level(NamedTuple):
    """A score that is drawn across the figure, and named at its right margin."""

    label: str
    score: float
    dashes: str  # matplotlib's line style
    colour: str = "black"  # that of a curve, where the level is the curve's own
