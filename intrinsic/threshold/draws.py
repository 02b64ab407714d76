"""What a threshold keeps to be compared: its draws, and the runs that they are made of."""

from dataclasses import dataclass

import numpy as np

from intrinsic.threshold.measurement import Measurement

Array = np.ndarray


@dataclass(frozen=True)
class Draws:
    """Draws of a threshold, and what they came from."""

    places: Array  # (m,) log2 d; -inf and +inf beyond the tried dims
    targets: Array  # (m,) the target of each draw, higher is better
    data: Measurement
    seeds: Array | None  # (n,) of the runs; None: nobody said

    def bounds(self) -> tuple[Array, Array]:
        """What is known of each draw, in log2 d: beyond the tried dims, that it lies there."""
        low = np.where(self.places == np.inf, self.data.x.max(), self.places)
        return low, np.where(self.places == -np.inf, self.data.x.min(), self.places)
