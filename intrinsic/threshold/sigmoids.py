"""Sums of sigmoids: where a curve of unknown shape crosses a level, as an average local to the crossing."""

from dataclasses import dataclass

import numpy as np

from intrinsic.threshold.isotonic import first_crossings, isotonic_crossings
from intrinsic.threshold.sigmoid_grid import SigmoidGrid, sigmoid_grid

Array = np.ndarray
PARTS = (0.05, 0.60, 0.35)  # prior weight of curves with 0, 1 and 2 sigmoids
DRIFT = 0.01  # of the range, an octave: how far sums of sigmoids may be from the truth, away from the crossing
PRIOR_RUNS = 1.5  # how many runs the first guess of the noise counts for
FLOOR = 0.004  # least noise, as a share of the scores' range: what sums of sigmoids of the grid miss of other curves
NEGLIGIBLE = 25.0  # in log evidence: pairs so much worse than the best get no weight


@dataclass(frozen=True)
class Near:
    """The stretch that is sure to hold the crossing of a level."""

    left: float  # log2 d
    right: float
    scale: float  # range of the scores and the level; 0: nothing varies


@dataclass(frozen=True)
class Curves:
    """Curves drawn from the posterior given the runs, in the unit of the scores."""

    at: Array  # (E,) log2 d, ascending, from the smallest to the largest tried
    values: Array  # (m, E)
    noise: float  # median sd of a score around its curve
    dof: float  # degrees of freedom of that noise

    def crossings(self, targets: Array) -> Array:
        """Where each curve first reaches its target (m,), in log2 d; -inf at the smallest dim, +inf nowhere."""
        return first_crossings(self.at, self.values, targets)


def locate(x: Array, y: Array, level: float, rng: np.random.Generator) -> Near:
    """Narrow the range down to the stretch that holds the crossing, by few draws on a coarse grid.

    Args:
        x: (n,) log2 of the dims.
        y: (n,) scores, higher is better.
        level: the target.
        rng: of the draws.
    """
    scale = float(np.ptp(np.append(y, level)))
    if scale == 0:
        return Near(float(x.min()), float(x.max()), 0.0)
    pilot = float(np.clip(isotonic_crossings(x, y[None], np.array([level]))[0], x.min(), x.max()))
    width = 0.24 * float(np.ptp(x))
    near = Near(pilot - width / 2, pilot + width / 2, scale)
    for _ in range(5):
        curves = sigmoid_curves(x, y, near, 100, rng, fine=False)
        crossings = np.clip(curves.crossings(np.full(100, level)), x.min(), x.max())
        low, high = np.quantile(crossings, (0.03, 0.97))
        width = near.right - near.left
        room = max(0.3 * (high - low), 2e-4, width / 24)
        near = Near(float(low - room), float(high + room), scale)
        if near.right - near.left > width / 4:
            break
    return near


def sigmoid_curves(
    x: Array, y: Array, near: Near, draws: int, rng: np.random.Generator, *, fine: bool = True
) -> Curves:
    """Draw curves from the posterior given the runs, by an average over sums of sigmoids.

    The curve is m(x) = c_0 + sum_j c_j s((x - a_j) / b_j), s(u) = 1 / (1 + exp(-u)), with at most two sigmoids from
    `sigmoid_grid`: a logistic, the end of a power law, a step and two phases are among these. At dim k, with n_k seeds,
    the mean of the scores ~ N(m(x_k), sigma^2 / n_k + delta_k^2) with delta_k = DRIFT * range * octaves from `near`:
    what lies far from the crossing counts less, so that a bump there does not matter. c_0 is flat, c_j normal with the
    scores' range as sd, sigma^2 inverse gamma; c and sigma are integrated out, and every pair of the grid gets its
    weight.

    Args:
        x: (n,) log2 of the dims.
        y: (n,) scores, higher is better.
        near: from `locate`.
        draws: how many curves.
        rng: of the draws.
        fine: on the fine grid.

    Cost: O(B^2 + m E) with B = 400 sigmoids and E = 200 points, more where many dims were tried: 10 ms for m = 1000.
    """
    if near.scale == 0:
        return Curves(np.array([x.min(), x.max()]), np.full((draws, 2), y[0]), 0.0, 1.0)
    grid = sigmoid_grid(x, near.left, near.right, fine=fine)
    dims, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(place, y) / counts / near.scale
    within = np.sum((y / near.scale - mean[place]) ** 2)
    guess = max(_noise(x, y / near.scale), FLOOR)
    drift = DRIFT * np.maximum(np.maximum(near.left - dims, dims - near.right), 0)
    share = 1 / (1 + counts * (drift / guess) ** 2)
    weight = counts * share
    centre = weight @ mean / weight.sum()
    table = grid.values(dims)
    table_mean = weight @ table / weight.sum()
    # posterior of c given sigmoids i and j: precision A / sigma^2, A = G + ridge 1, mean A^-1 b
    ridge = guess**2
    parts = table - table_mean
    weighted = parts * weight[:, None]
    size = np.sqrt(np.sum(weighted * parts, 0) + ridge)
    b = (mean - centre) @ weighted / size
    overlap = (parts / size).T @ (weighted / size)  # A_ij / sqrt(A_ii A_jj) off the diagonal
    np.fill_diagonal(overlap, 0.0)
    free = len(y) - len(dims)
    prior_runs = PRIOR_RUNS if free < 3 else 0.5
    dof = prior_runs + free + share.sum() - 1
    rest = prior_runs * ridge + within + weight @ (mean - centre) ** 2
    least = prior_runs * ridge + within
    first, second, log_weight = _models(grid, b, size, overlap, rest, least, ridge, dof)
    # draw models, then sigma, then c
    sums = np.cumsum(np.exp(log_weight - log_weight.max()))
    spots = rng.permutation((np.arange(draws) + rng.random(draws)) / draws)  # stratified
    picked = np.searchsorted(sums, spots * sums[-1])
    i, j = first[picked], second[picked]
    has_i, has_j = i >= 0, j >= 0
    r = np.where(has_j, overlap[i, j], 0.0)
    bi, bj = np.where(has_i, b[i], 0.0), np.where(has_j, b[j], 0.0)
    tail = np.maximum(1 - r**2, 1e-9)
    cj = (bj - r * bi) / tail
    lost = np.maximum(rest - bi**2 - cj * (bj - r * bi), least)
    sigma = np.sqrt(0.5 * lost / rng.gamma(0.5 * dof, size=draws))
    z = rng.standard_normal((3, draws)) * sigma
    cj = np.where(has_j, cj + z[0] / np.sqrt(tail), 0.0)
    ci = np.where(has_i, bi - r * cj + z[1], 0.0)
    looked = ((grid.values(grid.at) - table_mean) / size).T  # (B, E)
    curves = (z[2] / np.sqrt(weight.sum()))[:, None] + ci[:, None] * looked[i] + cj[:, None] * looked[j]
    values = (curves + centre) * near.scale
    return Curves(grid.at, values, float(np.median(sigma)) * near.scale, float(dof))


def _models(
    grid: SigmoidGrid, b: Array, size: Array, overlap: Array, rest: float, least: float, ridge: float, dof: float
) -> tuple[Array, Array, Array]:
    """The curves that matter: first sigmoid or -1, second or -1, log evidence with prior.

    Evidence: prod_j sqrt(ridge) / sqrt(det A) * (rest - b' A^-1 b)^(-dof / 2), with A scaled to a unit diagonal.
    """
    count = len(b)
    loss_two = np.multiply.outer(-2 * b, b)
    loss_two *= overlap
    loss_two += (b**2)[:, None]
    loss_two += b**2
    determinant = 1 - overlap**2
    loss_two /= -np.maximum(determinant, 1e-9)
    loss_two += rest
    np.maximum(loss_two, least, out=loss_two)
    loss_one = np.maximum(rest - b**2, least)
    bound = min(loss_two.min(), loss_one.min()) * np.exp(2 * NEGLIGIBLE / dof)
    i, j = np.nonzero(loss_two <= bound)
    kept = i < j
    i, j = i[kept], j[kept]
    single = grid.prior + np.log(np.sqrt(ridge) / size)
    none = np.array([-1])
    log_two = (
        single[i] + single[j] - 0.5 * np.log(np.maximum(determinant[i, j], 1e-9)) - 0.5 * dof * np.log(loss_two[i, j])
    )
    log_weight = np.concatenate(
        [
            [np.log(PARTS[0]) - 0.5 * dof * np.log(rest)],
            np.log(PARTS[1]) + single - 0.5 * dof * np.log(loss_one),
            np.log(2 * PARTS[2]) + log_two,
        ]
    )
    first = np.concatenate([none, np.arange(count), i])
    second = np.concatenate([none, np.full(count, -1), j])
    return first, second, log_weight


def _noise(x: Array, y: Array) -> float:
    """A first guess of the noise's sd: within dims where there are repeats, else from neighbours' differences."""
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    same = np.diff(x) == 0
    if same.sum() >= 3:
        return float(np.sqrt(np.mean(np.diff(y)[same] ** 2) / 2))
    share = (x[1:-1] - x[:-2]) / np.maximum(x[2:] - x[:-2], 1e-12)  # 1/2 where three are evenly spaced
    bend = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
    bend /= np.sqrt(1 + share**2 + (1 - share) ** 2)  # as wide as the noise
    return float(np.quantile(np.abs(bend), 0.3) / 0.3853)  # and not the median: most bends may be the curve's
