"""The measurement of one weight of one run by `experiments.updates`."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from analysis.studies.measurement_file import MeasurementFile

ROUNDING = 2.0**-23  # of float32: W and W_0 are each rounded to half of it, relative to every entry


class Weight:
    """One weight of one run: its arrays, read once each. W is (outputs, inputs).

    Args:
        name: of the parameter.
        shape: (outputs, inputs).
        measurement: of `experiments.updates`.
    """

    def __init__(self, name: str, shape: Sequence[int], measurement: MeasurementFile):
        self.name, self.shape, self._measurement = name, (shape[0], shape[1]), measurement
        self._arrays: dict[str, np.ndarray] = {}

    def __getitem__(self, key: str) -> np.ndarray:
        """An array of `experiments.updates` in float64."""
        if key not in self._arrays:
            self._arrays[key] = self._measurement.array(f"{self.name}/{key}").astype(float)
        return self._arrays[key]

    @cached_property
    def rank(self) -> int:
        """How many singular values of dW exceed 2^-23 ||W||_F, which bounds the spectral norm of what is rounding."""
        return int((self["values"] > ROUNDING * np.linalg.norm(self["trained_values"])).sum())

    @cached_property
    def num_directions(self) -> int:
        """How many directions of dW are there to compare: stored, and above rounding."""
        return min(self.rank, self["left"].shape[1])
