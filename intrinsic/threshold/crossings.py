"""Draws of the crossing by any estimator, for either estimand."""

import numpy as np

from intrinsic.checks import number
from intrinsic.errors import UserError
from intrinsic.threshold.bootstrap import bootstrap
from intrinsic.threshold.first_crossing import first_crossings
from intrinsic.threshold.isotonic import isotonic_crossings
from intrinsic.threshold.logistic import logistic_crossings
from intrinsic.threshold.measurement import ESTIMANDS, Measurement
from intrinsic.threshold.reaches import reaches
from intrinsic.threshold.sigmoids import locate, sigmoid_curves

FITS = {"logistic": logistic_crossings, "isotonic": isotonic_crossings, "first_crossing": first_crossings}
ESTIMATORS = ("auto", *FITS)
FITS_OF_SUCCESS = 12  # at most: a target changes which runs succeed

Array = np.ndarray


def crossings(
    data: Measurement, estimator: str, estimand: str, resamples: int, rng: np.random.Generator
) -> tuple[float, Array, Array]:
    """The estimate and (resamples,) draws of it, in log2 d; -inf and +inf stand for beyond the tried dims.

    For "success" the scores become 1 where they reach the target, else 0, and the target 1/2. The third are the
    targets (resamples,) at which each draw was made.
    """
    fit = FITS.get(estimator)
    if fit is not None:
        y, levels = bootstrap(data, resamples, rng)
        targets = levels
        point = data.y[None], np.array([data.target])
        if estimand == "success":
            y, targets = reaches(y, levels[:, None]).astype(float), np.full(resamples, 0.5)
            point = reaches(data.y, data.target).astype(float)[None], np.array([0.5])
        return float(fit(data.x, *point)[0]), fit(data.x, y, targets), levels
    curves = sigmoid_curves(data.x, data.y, locate(data.x, data.y, data.target, rng), resamples, rng)
    targets = data.draw_targets(resamples, curves.noise, curves.dof, rng)
    if estimand == "mean":
        draws = curves.crossings(targets)
    else:
        targets = np.sort(targets)
        draws = _successes(data, targets, rng)
    return float(np.quantile(draws, 0.5, method="inverted_cdf")), draws, targets


def check_choices(estimator: str, estimand: str, confidence: float) -> None:
    """Check the choices.

    Raises:
        UserError: unknown estimator or estimand; confidence not in (0, 1).
    """
    if estimator not in ESTIMATORS:
        raise UserError(f"need estimator={', '.join(ESTIMATORS)}, got {estimator}")
    if estimand not in ESTIMANDS:
        raise UserError(f"need estimand={' or '.join(ESTIMANDS)}, got {estimand}")
    if not 0 < number("confidence", confidence) < 1:
        raise UserError(f"need 0 < confidence < 1, got confidence={confidence}")


def _successes(data: Measurement, targets: Array, rng: np.random.Generator) -> Array:
    """Draws of where half of the seeds reach the ascending targets (m,); those that the same runs reach share a fit."""
    ranks = len(data.y) - reaches(data.y, targets[:, None]).sum(1)  # how many runs fail
    if len(np.unique(ranks)) > FITS_OF_SUCCESS:
        ranks = np.concatenate([np.full(len(some), np.median(some)) for some in np.array_split(ranks, FITS_OF_SUCCESS)])
    place = np.argsort(np.argsort(data.y))
    draws = []
    for rank, count in zip(*np.unique(ranks, return_counts=True), strict=True):
        reached = (place >= rank).astype(float)
        curves = sigmoid_curves(data.x, reached, locate(data.x, reached, 0.5, rng), int(count), rng)
        draws.append(curves.crossings(np.full(count, 0.5)))
    return np.concatenate(draws)
