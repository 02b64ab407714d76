"""The sigmoids whose sums stand for a curve of unknown shape."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
FAR = 28  # centres in the tried range
BEYOND = np.array([0.05, 0.15, 0.3, 0.5])  # centres outside it, in ranges from its ends
STEP = 0.6  # prior weight of steps among the widths: where none fits, the runs say so


@dataclass(frozen=True)
class SigmoidGrid:
    """B sigmoids s((x - centre) / width), and E points at which their sums are looked at."""

    centres: Array  # (B,) log2 d
    widths: Array  # (B,) octaves; 0 is a step
    prior: Array  # (B,) log of weights that sum to 1
    at: Array  # (E,) log2 d, ascending, from the smallest to the largest tried

    def values(self, x: Array) -> Array:
        """Each sigmoid at each x: (len(x), B)."""
        away = x[:, None] - self.centres
        smooth = self.widths > 0
        out = (away >= 0).astype(float)
        out[:, smooth] = 0.5 * (1 + np.tanh(0.5 * away[:, smooth] / self.widths[smooth]))
        return out


def sigmoid_grid(x: Array, left: float, right: float, *, fine: bool) -> SigmoidGrid:
    """Centres in and around the tried range, most of them in [left, right]; widths from a third of the range to steps.

    Steps have more centres: also one between any two dims that were tried. The prior is flat over the range in log d.

    Args:
        x: (n,) log2 of the dims.
        left: of the stretch that holds the crossing, log2 d.
        right: its other end.
        fine: with 24 centres in that stretch and 6 widths; else 12 and 3.
    """
    low, high = x.min(), x.max()
    reach = high - low
    left, right = max(left, low), min(right, high)
    cells, count = (24, 6) if fine else (12, 3)
    far = low + reach * (np.arange(FAR) + 0.5) / FAR
    stretch = left + (right - left) * (np.arange(cells) + 0.5) / cells
    smooth = np.concatenate(
        [low - reach * BEYOND[::-1], far[far < left], stretch, far[far > right], high + reach * BEYOND]
    )
    dims = np.unique(x)
    steps = np.unique(np.concatenate([smooth[(smooth > low) & (smooth < high)], (dims[1:] + dims[:-1]) / 2]))
    widths = np.geomspace(reach / 3, min(0.08, reach / 30), count)
    of_smooth = np.gradient(smooth)[:, None] * np.full(count, (1 - STEP) / count)
    of_steps = np.diff(np.concatenate([[low], (steps[1:] + steps[:-1]) / 2, [high]])) * STEP
    prior = np.concatenate([of_smooth.ravel(), of_steps])
    knots = np.concatenate([[low], steps, [high]])
    thirds = (knots[:-1, None] + np.diff(knots)[:, None] * np.arange(3) / 3).ravel()
    return SigmoidGrid(
        np.concatenate([np.repeat(smooth, count), steps]),
        np.concatenate([np.tile(widths, len(smooth)), np.zeros(len(steps))]),
        np.log(prior / prior.sum()),
        np.unique(np.concatenate([thirds, dims])),
    )
