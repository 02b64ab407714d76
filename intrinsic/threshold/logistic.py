"""The four-parameter logistic in log d, fitted to many resamples at once."""

import numpy as np

Array = np.ndarray
STEPS = 15
STEEPEST = 40.0  # per octave: beyond it the fit is a step between two dims


def logistic(x: Array, parameters: Array) -> Array:
    """low + rise / (1 + exp(-k (x - a))) for parameters (m, 4) = low, rise, a, log k: (m, len(x))."""
    low, rise, middle, slope = (parameters[:, [i]] for i in range(4))
    return low + rise * _sigmoid(np.exp(slope) * (x - middle))


def fit_logistic(x: Array, y: Array) -> Array:
    """The least-squares parameters (m, 4) of each row of y (m, n).

    Levenberg-Marquardt on all rows at once, from the best point of a grid over middle and slope, on which the other
    two are linear. Cost: O(m n) for each of 15 steps.
    """
    now = _start(x, y)
    damping = np.full(len(y), 1e-2)
    loss = ((logistic(x, now) - y) ** 2).sum(1)
    for _ in range(STEPS):
        k = np.exp(now[:, [3]])
        s = _sigmoid(k * (x - now[:, [2]]))
        bend = now[:, [1]] * s * (1 - s)
        jacobian = np.stack([np.ones_like(s), s, -bend * k, bend * k * (x - now[:, [2]])], -1)  # (m, n, 4)
        normal = np.einsum("mni,mnj->mij", jacobian, jacobian)
        slope = np.einsum("mni,mn->mi", jacobian, y - logistic(x, now))
        ridge = damping[:, None] * (np.einsum("mii->mi", normal) + 1e-9)
        step = np.linalg.solve(normal + ridge[:, :, None] * np.eye(4), slope[:, :, None])[:, :, 0]
        there = now + step
        there[:, 3] = np.clip(there[:, 3], np.log(1e-3), np.log(STEEPEST))
        there[:, 2] = np.clip(there[:, 2], x.min() - 2 * np.ptp(x), x.max() + 2 * np.ptp(x))
        lower = ((logistic(x, there) - y) ** 2).sum(1)
        better = lower < loss
        now[better], loss[better] = there[better], lower[better]
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e6)
    return now


def logistic_crossings(x: Array, y: Array, targets: Array) -> Array:
    """Where the fit of each row reaches its target, in log2 d; -inf, +inf outside the tried dims.

    Args:
        x: (n,) log2 of the dims, repeats allowed.
        y: (m, n) scores, one row a resample.
        targets: (m,).
    """
    fits = fit_logistic(x, y)
    ends = logistic(np.array([x.min(), x.max()]), fits)
    low, rise, middle, slope = fits.T
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (targets - low) / rise
        found = middle + (np.log(share) - np.log1p(-share)) / np.exp(slope)
    inside = np.isfinite(found) & (found >= x.min()) & (found <= x.max()) & (ends[:, 0] < targets)
    return np.where(inside, found, np.where(ends[:, 0] >= targets, -np.inf, np.inf))


def _start(x: Array, y: Array) -> Array:
    """The best of a grid of middles and slopes, with low and rise by least squares: (m, 4)."""
    reach = max(float(np.ptp(x)), 1e-9)
    middles, slopes = np.meshgrid(
        np.linspace(x.min() - reach / 4, x.max() + reach / 4, 40), np.log(np.geomspace(0.5, 64, 8) * 2 / reach)
    )
    shapes = _sigmoid(np.exp(slopes.ravel())[:, None] * (x - middles.ravel()[:, None]))  # (g, n)
    parts = shapes - shapes.mean(1, keepdims=True)
    size = np.maximum((parts**2).sum(1), 1e-9)
    moment = y @ parts.T  # (m, g)
    best = (moment**2 / size).argmax(1)
    rise = moment[np.arange(len(y)), best] / size[best]
    low = y.mean(1) - rise * shapes.mean(1)[best]
    slope = np.clip(slopes.ravel()[best], np.log(1e-3), np.log(STEEPEST))
    return np.stack([low, rise, middles.ravel()[best], slope], 1)


def _sigmoid(u: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * u))
