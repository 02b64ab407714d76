"""The bootstrap: runs resampled within dims, and baselines."""

import numpy as np

from intrinsic.threshold.isotonic import isotonic
from intrinsic.threshold.measurement import Measurement
from intrinsic.threshold.reaches import ROUNDING

Array = np.ndarray


def bootstrap(data: Measurement, resamples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw scores (resamples, n) and targets (resamples,) anew.

    At a dim with k >= 2 seeds, scores are the mean plus residuals drawn among them, times sqrt(k / (k - 1)) so that
    their variance is right. A dim with one seed would always give the same score; it takes residuals from the pool of
    all: those of the repeated dims, else those from the isotonic fit, scaled by sqrt(n / (n - levels)).
    Targets are drawn as `Measurement.draw_targets` says, with the noise of that pool.
    """
    _, place, counts = np.unique(data.x, return_inverse=True, return_counts=True)
    means = np.bincount(place, data.y) / counts
    inflated = np.sqrt(counts / np.maximum(counts - 1, 1))
    rest = (data.y - means[place]) * inflated[place]
    repeated = counts[place] > 1
    free = int(np.sum(counts - 1))
    if free >= 3:
        pool = rest[repeated]
    else:
        fitted = isotonic(means[None], counts.astype(float))[0]
        levels = 1 + np.sum(np.diff(fitted) > ROUNDING * np.abs(fitted).max())  # rounding parts none
        free = max(len(data.y) - int(levels), 1)
        pool = (data.y - fitted[place]) * np.sqrt(len(data.y) / free)
    drawn = np.where(repeated, 0.0, rng.choice(pool, (resamples, len(data.y))))
    starts = np.argsort(place, kind="stable")
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    chosen = starts[first[place] + (rng.random((resamples, len(place))) * counts[place]).astype(int)]
    drawn += np.where(repeated, rest[chosen], 0.0)
    noise = float(np.sqrt(np.mean(pool**2)))
    return means[place] + drawn, data.draw_targets(resamples, noise, free, rng)
