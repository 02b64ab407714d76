"""The four-parameter logistic in log d, fitted to many resamples at once."""

import numpy as np
from scipy.special import expit

Array = np.ndarray
STEPS = 15
STEEPEST = 40.0  # per octave: beyond it the fit is a step between two dims
SETTLED = 1e-10  # a step that changes no parameter by more is the last: the next would be smaller by far
BLOCK = 1 << 17  # numbers at once: a megabyte stays in the cache


def logistic(x: Array, parameters: Array) -> Array:
    """low + rise / (1 + exp(-k (x - a))) for parameters (m, 4) = low, rise, a, log k: (m, len(x))."""
    return parameters[:, [0]] + parameters[:, [1]] * _shape(x, parameters)


def fit_logistic(x: Array, y: Array) -> Array:
    """The least-squares parameters (m, 4) of each row of y (m, n).

    Levenberg-Marquardt on many rows at once, from the best point of a grid over middle and slope, on which the other
    two are linear. Runs at one dim count as their mean, which has the same least squares. Cost: O(m K) for K dims and
    each of up to 15 steps.
    """
    order = np.argsort(x, kind="stable")
    x, first, counts = np.unique(x[order], return_index=True, return_counts=True)
    y = np.add.reduceat(y[:, order], first, 1) / counts  # (m, K)
    weights = counts.astype(float)
    blocks = np.array_split(np.arange(len(y)), max(1, y.size // BLOCK))
    start = _start(x, y, weights)
    return np.concatenate([_fit(x, y[rows], weights, start[rows]) for rows in blocks])


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


def _fit(x: Array, y: Array, weights: Array, fits: Array) -> Array:
    """The parameters (m, 4) of least squares with weights (K,), for y (m, K) at the dims x (K,), from others near."""
    rows = np.arange(len(y))  # those that still move
    now, damping, shape = fits.copy(), np.full(len(y), 1e-2), _shape(x, fits)
    loss = _loss(now, shape, y, weights)
    for _ in range(STEPS):
        normal, slope = _normal_equations(x, y, weights, now, shape)
        ridge = damping[:, None] * (np.einsum("mii->mi", normal) + 1e-9)
        step = np.linalg.solve(normal + ridge[:, :, None] * np.eye(4), slope[:, :, None])[:, :, 0]
        there = now + step
        there[:, 3] = np.clip(there[:, 3], np.log(1e-3), np.log(STEEPEST))
        there[:, 2] = np.clip(there[:, 2], x.min() - 2 * np.ptp(x), x.max() + 2 * np.ptp(x))
        new = _shape(x, there)
        lower = _loss(there, new, y, weights)
        better = lower < loss
        moving = np.abs(there - now).max(1) > SETTLED
        now[better], loss[better], shape[better] = there[better], lower[better], new[better]
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e6)
        fits[rows] = now
        if not moving.all():
            rows, y, now, damping, shape, loss = (part[moving] for part in (rows, y, now, damping, shape, loss))
        if not len(rows):
            break
    return fits


def _normal_equations(x: Array, y: Array, weights: Array, now: Array, shape: Array) -> tuple[Array, Array]:
    """J^T W J (m, 4, 4) and J^T W (y - fit) (m, 4) of the Jacobian J with columns 1, s, -rise k s', rise s' k (x - a).

    From the sums over dims of s, s' = s (1 - s), their products and the residual, times 1, x - a and (x - a)^2.
    """
    rise, middle, k = now[:, 1], now[:, 2], np.exp(now[:, 3])
    bend = shape * (1 - shape)
    rest = y - now[:, [0]] - now[:, [1]] * shape
    moments = weights[:, None] * (x[:, None] - x.mean()) ** np.arange(3)  # (K, 3)
    away = middle - x.mean()

    def sums(values: Array, power: int) -> list[Array]:
        """The sums of values (x - a)^p for p up to `power`."""
        raw = values @ moments[:, : power + 1]
        found = [raw[:, 0]]
        if power > 0:
            found.append(raw[:, 1] - away * raw[:, 0])
        if power > 1:
            found.append(raw[:, 2] - 2 * away * raw[:, 1] + away**2 * raw[:, 0])
        return found

    (s,), (b, bx), (bs, bsx), (bb, bbx, bbxx) = (
        sums(shape, 0), sums(bend, 1), sums(bend * shape, 1), sums(bend * bend, 2)
    )  # fmt: skip
    (r,), (rs,), (rb, rbx) = sums(rest, 0), sums(rest * shape, 0), sums(rest * bend, 1)
    c = rise * k
    normal = np.empty((len(y), 4, 4))
    upper = {
        (0, 0): weights.sum(), (0, 1): s, (0, 2): -c * b, (0, 3): c * bx, (1, 1): s - b, (1, 2): -c * bs,
        (1, 3): c * bsx, (2, 2): c**2 * bb, (2, 3): -(c**2) * bbx, (3, 3): c**2 * bbxx,
    }  # fmt: skip
    for (i, j), values in upper.items():
        normal[:, i, j] = normal[:, j, i] = values
    return normal, np.stack([r, rs, -c * rb, c * rbx], 1)


def _start(x: Array, y: Array, weights: Array) -> Array:
    """The best of a grid of middles and slopes, with low and rise by least squares: (m, 4)."""
    reach = max(float(np.ptp(x)), 1e-9)
    middles, slopes = np.meshgrid(
        np.linspace(x.min() - reach / 4, x.max() + reach / 4, 40), np.log(np.geomspace(0.5, 64, 8) * 2 / reach)
    )
    shapes = expit(np.exp(slopes.ravel())[:, None] * (x - middles.ravel()[:, None]))  # (g, K)
    share = weights / weights.sum()
    parts = (shapes - (shapes @ share)[:, None]) * weights
    size = np.maximum((parts**2 / weights).sum(1), 1e-9)
    moment = y @ parts.T  # (m, g)
    best = (moment**2 / size).argmax(1)
    rise = moment[np.arange(len(y)), best] / size[best]
    low = y @ share - rise * (shapes @ share)[best]
    slope = np.clip(slopes.ravel()[best], np.log(1e-3), np.log(STEEPEST))
    return np.stack([low, rise, middles.ravel()[best], slope], 1)


def _shape(x: Array, parameters: Array) -> Array:
    """1 / (1 + exp(-k (x - a))), (m, K)."""
    shape: Array = expit(np.exp(parameters[:, [3]]) * (x - parameters[:, [2]]))
    return shape


def _loss(parameters: Array, shape: Array, y: Array, weights: Array) -> Array:
    loss: Array = (parameters[:, [0]] + parameters[:, [1]] * shape - y) ** 2 @ weights
    return loss
