"""Draws of the crossing by any estimator, for either estimand."""

import numpy as np

from intrinsic.threshold.bootstrap import bootstrap
from intrinsic.threshold.first_crossing import first_crossings
from intrinsic.threshold.isotonic import isotonic_crossings
from intrinsic.threshold.logistic import logistic_crossings
from intrinsic.threshold.measurement import Measurement
from intrinsic.threshold.sigmoids import sigmoid_crossings, sigmoid_noise

FITS = {"logistic": logistic_crossings, "isotonic": isotonic_crossings, "first_crossing": first_crossings}
ESTIMATORS = ("auto", *FITS)
TARGETS = 20  # for "success" each needs a fit of its own, as it changes which seeds succeed

Array = np.ndarray


def crossings(
    data: Measurement, estimator: str, estimand: str, resamples: int, rng: np.random.Generator
) -> tuple[float, Array]:
    """The estimate and (resamples,) draws of it, in log2 d; -inf and +inf stand for beyond the tried dims.

    For "success" the scores become 1 where they reach the target, else 0, and the target 1/2.
    """
    fit = FITS.get(estimator)
    if fit is not None:
        y, targets = bootstrap(data, resamples, rng)
        point = data.y[None], np.array([data.target])
        if estimand == "success":
            y, targets = (y >= targets[:, None]).astype(float), np.full(resamples, 0.5)
            point = (data.y >= data.target).astype(float)[None], np.array([0.5])
        return float(fit(data.x, *point)[0]), fit(data.x, y, targets)
    noise, dof = sigmoid_noise(data.x, data.y, data.target, rng)
    if estimand == "mean":
        draws = sigmoid_crossings(data.x, data.y, data.draw_targets(resamples, noise, dof, rng), rng)
    else:
        targets = np.sort(data.draw_targets(resamples, noise, dof, rng))
        parts = [
            sigmoid_crossings(data.x, (data.y >= np.median(some)).astype(float), np.full(len(some), 0.5), rng)
            for some in np.array_split(targets, TARGETS)
        ]
        draws = np.concatenate(parts)
    return float(np.quantile(draws, 0.5, method="inverted_cdf")), draws
