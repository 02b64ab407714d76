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

    def bounds(self, spread: float = 1.0) -> tuple[Array, Array]:
        """What is known of each draw, in log2 d, at least and at most: beyond the tried dims, that it lies there.

        Args:
            spread: by which the distances to the median are multiplied, where it lies within the tried dims.
        """
        places, middle = self.places, np.quantile(self.places, 0.5, method="inverted_cdf")
        if np.isfinite(middle):
            places = np.where(np.isfinite(places), middle + spread * (places - middle), places)
        low = np.where(places == np.inf, self.data.x.max(), places)
        return low, np.where(places == -np.inf, self.data.x.min(), places)
