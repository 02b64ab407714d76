"""Where a curve of unknown shape crosses a level: an average over sums of sigmoids, local to the crossing."""

from dataclasses import dataclass

import numpy as np

from intrinsic.threshold.isotonic import first_reached, isotonic_crossings

Array = np.ndarray
PARTS = (0.05, 0.60, 0.35)  # prior weight of curves with 0, 1 and 2 sigmoids
DRIFT = 0.02  # of the scores' range an octave: how far the truth may be from the sum of sigmoids away from x*
STEP = 0.6  # prior weight of a step among the widths
PRIOR_RUNS = 3.0  # how many runs the first guess of the noise counts for
FLOOR = 0.004  # least noise, as a share of the scores' range: what sums of sigmoids of the grid miss of other curves


@dataclass(frozen=True)
class _Grid:
    """The sigmoids that may be summed, and the points at which sums are looked at."""

    centres: Array  # (B,) log2 d
    widths: Array  # (B,) octaves; 0 is a step
    prior: Array  # (B,) log prior weight
    at: Array  # (E,) log2 d, ascending, from the smallest to the largest tried


def sigmoid_crossings(x: Array, y: Array, targets: Array, rng: np.random.Generator) -> Array:
    """Draw the crossing of each target, in log2 d, by a curve drawn from the posterior given the runs."""
    level = float(np.median(targets))
    scale = float(np.ptp(np.append(y, level)))
    if np.ptp(x) == 0 or scale == 0:
        return np.where(y.mean() >= targets, -np.inf, np.inf)
    pilot, spread, fine, _, _ = _pilot(x, y, level, scale, rng)
    return _draw(x, y, targets, pilot, spread, fine, 1.3, scale, rng)[0]


def sigmoid_noise(x: Array, y: Array, level: float, rng: np.random.Generator) -> tuple[float, float]:
    """The noise's sd near the crossing of the level, and its degrees of freedom."""
    scale = float(np.ptp(np.append(y, level)))
    if np.ptp(x) == 0 or scale == 0:
        return 0.0, 1.0
    return _pilot(x, y, level, scale, rng)[3:]


def _pilot(x, y, level, scale, rng):
    pilot = float(np.clip(isotonic_crossings(x, y[None], np.array([level]))[0], x.min(), x.max()))
    some = np.full(100, level)
    fine, spread = 0.1, float(np.ptp(x)) / 10
    for _ in range(4):
        first, noise, dof = _draw(x, y, some, pilot, spread, fine, 1.6, scale, rng)
        first = np.clip(first, x.min(), x.max())
        pilot, spread = float(np.median(first)), float(np.subtract(*np.quantile(first, (0.9, 0.1))))
        enough, fine = spread > 6 * fine, float(np.clip(spread / 12, 1e-4, 0.15))
        if enough or fine == 1e-4:
            break
    return pilot, spread, fine, noise, dof


def _grid(x: Array, pilot: float, fine: float, growth: float) -> _Grid:
    """Centres and points that lie `fine` octaves apart at the pilot, and farther apart away from it."""
    low, high = x.min(), x.max()
    reach = high - low
    steps = fine * growth ** np.arange(200)
    away = np.cumsum(steps)
    pad = reach / 2
    right = pilot + away[away < high + pad - pilot]
    left = pilot - away[away < pilot - low + pad]
    centres = np.concatenate([left[::-1], [pilot], right])
    cell = np.gradient(centres)
    widths = np.append(np.geomspace(reach / 3, min(0.08, reach / 30), 7), 0.0)
    prior = np.log(cell / cell.sum())[:, None] + np.log(
        np.append(np.full(len(widths) - 1, (1 - STEP) / (len(widths) - 1)), STEP)
    )
    every = np.broadcast_to(centres[:, None], prior.shape)
    knots = np.unique(np.concatenate([centres[(centres > low) & (centres < high)], [low, high]]))
    at = np.unique(np.concatenate([knots[:-1, None] + np.diff(knots)[:, None] * np.arange(5) / 5]).ravel())
    at = np.unique(np.concatenate([at, [high], x]))
    return _Grid(every.ravel(), np.broadcast_to(widths, prior.shape).ravel(), prior.ravel(), at)


def _values(grid: _Grid, x: Array) -> Array:
    """Each sigmoid at each x: (len(x), B)."""
    away = x[:, None] - grid.centres
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        smooth = 0.5 * (1 + np.tanh(0.5 * away / grid.widths))
    return np.where(grid.widths == 0, (away >= 0).astype(float), smooth)


def _draw(x, y, targets, pilot, spread, fine, growth, scale, rng):
    grid = _grid(x, pilot, fine, growth)
    dims, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(place, y) / counts / scale
    within = ((y / scale - mean[place]) ** 2).sum()
    guess = max(_noise(x, y / scale), FLOOR)
    off = DRIFT * np.maximum(np.abs(dims - pilot) - spread / 2, 0)
    share = 1 / (1 + counts * (off / guess) ** 2)
    weight = counts * share
    total = weight.sum()
    centre = weight @ mean / total
    table = _values(grid, dims)
    means = weight @ table / total
    rest, parts = mean - centre, table - means
    ridge = guess**2
    gram = parts.T @ (parts * weight[:, None])
    moment = parts.T @ (rest * weight)
    whole = weight @ rest**2
    free = len(y) - len(dims)
    known = free if free >= 3 else 0
    prior_runs = PRIOR_RUNS if free < 3 else 0.5
    dof = prior_runs + free + share.sum() - 1
    shape = 0.5 * dof
    start = 0.5 * (prior_runs * guess**2 + within)
    diagonal = np.diag(gram) + ridge
    # the loss explained by one sigmoid, and by two: b' (G + ridge)^-1 b
    one = moment**2 / diagonal
    determinant = diagonal[:, None] * diagonal - gram**2
    np.fill_diagonal(determinant, np.inf)
    determinant = np.maximum(determinant, ridge**2)
    a, b = moment[:, None], moment[None, :]
    two = (a**2 * diagonal[None, :] - 2 * a * b * gram + b**2 * diagonal[:, None]) / determinant

    def evidence(explained):
        return -shape * np.log(np.maximum(start + 0.5 * (whole - explained), start))

    B = len(grid.centres)
    log_two = evidence(two) + np.log(ridge) - 0.5 * np.log(determinant) + grid.prior[:, None] + grid.prior
    np.fill_diagonal(log_two, -np.inf)
    log_one = evidence(one) + 0.5 * np.log(ridge / diagonal) + grid.prior
    every = np.concatenate(
        [[evidence(0.0) + np.log(PARTS[0])], log_one + np.log(PARTS[1]), log_two.ravel() + np.log(PARTS[2])]
    )
    chance = np.exp(every - every.max())
    sums = np.cumsum(chance)
    m = len(targets)
    spots = (np.arange(m) + rng.random(m)) / m  # stratified
    picked = np.searchsorted(sums, rng.permutation(spots) * sums[-1])
    pair = picked - 1 - B
    i = np.where(pair >= 0, pair // B, np.maximum(picked - 1, 0))
    j = np.where(pair >= 0, pair % B, 0)
    has_i, has_j = picked > 0, pair >= 0
    # posterior of c given the pair: N(A^-1 b, sigma^2 A^-1), A = [[p, q], [q, r]]
    p, r = np.where(has_i, diagonal[i], np.inf), np.where(has_j, diagonal[j], np.inf)
    q = np.where(has_j, gram[i, j], 0.0)
    bi, bj = moment[i], moment[j]
    with np.errstate(invalid="ignore"):
        tail = np.where(has_j, r - q**2 / p, np.inf)
    tail = np.maximum(tail, ridge * 1e-6)
    cj = np.where(has_j, (bj - q * bi / p) / tail, 0.0)
    explained = np.where(has_i, bi**2 / p, 0.0) + np.where(has_j, cj * (bj - q * bi / p), 0.0)
    sigma = np.sqrt(np.maximum(start + 0.5 * (whole - explained), start) / rng.gamma(shape, size=m))
    z = rng.standard_normal((3, m))
    cj = np.where(has_j, cj + sigma * z[0] / np.sqrt(tail), 0.0)
    ci = np.where(has_i, (bi - q * cj) / p + sigma * z[1] / np.sqrt(p), 0.0)
    c0 = sigma * z[2] / np.sqrt(total)
    looked = (_values(grid, grid.at) - means).T  # (B, E)
    curve = c0[:, None] + ci[:, None] * looked[i] + cj[:, None] * looked[j]
    crossings = first_reached(grid.at, curve, (targets - centre * scale) / scale)
    return crossings, float(np.median(sigma)) * scale, dof


def _noise(x: Array, y: Array) -> float:
    """A first guess of the noise's sd: within dims where there are repeats, else from neighbours' differences."""
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    same = np.diff(x) == 0
    if same.sum() >= 3:
        return float(np.sqrt(np.mean(np.diff(y)[same] ** 2) / 2))
    bend = y[1:-1] - (y[:-2] + y[2:]) / 2  # sd sqrt(1.5) of the noise
    return float(np.median(np.abs(bend)) / 0.6745 / np.sqrt(1.5)) if len(bend) else 0.0
