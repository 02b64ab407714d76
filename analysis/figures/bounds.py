"""Answers that are no number of the axis: beyond the tried sizes, or zero on a logarithmic axis."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

BEYOND = (("above", "^"), ("below", "v"))


def draw_bounds(axes: Axes, x: np.ndarray, rows: pd.DataFrame, number: int, **look: Any) -> None:
    """Draw the censored thresholds of a curve: a triangle at a bound, and a 0 at the edge where the start has it.

    Args:
        axes: with a logarithmic y axis.
        x: where each row stands.
        rows: with `value` and `censored`.
        number: of the curve, whose zeros stand above those of the curves before.
        **look: `color`, and the size `ms` of a triangle.
    """
    for side, marker in BEYOND:
        beyond = (rows["censored"] == side).to_numpy()
        if beyond.any():  # an empty line that is not clipped lies in the figure's corner
            axes.plot(x[beyond], rows["value"].to_numpy(float)[beyond], marker, mfc="none", clip_on=False, **look)
    for at in x[(rows["censored"] == "start").to_numpy()]:
        axes.text(
            at, 0.02 + 0.06 * number, "0", color=look["color"], ha="center", transform=axes.get_xaxis_transform(),
            bbox={"fc": "white", "lw": 0, "pad": 1},
        )  # fmt: skip
