"""Effects of seeds that two searches have in common."""

import numpy as np
from scipy.special import betainc

from intrinsic.threshold.draws import Draws

Array = np.ndarray
LEAST = 3  # seeds in common: the correlation of fewer says nothing
LEVEL = 0.05  # of the test that the effects have something in common


def seed_effects(a: Draws, b: Draws) -> dict[int, float] | None:
    """How much higher runs of each seed score in both searches; None where that is not seen.

    Within each search y_{d,s} = mu_d + u_s + e, by least squares over dims of several seeds, a seed with its part of
    the other search's alone. Where the u of the two correlate over seeds (one-sided test at 5 %), the common part of
    seed s is lambda (u_s + v_s) / 2 with lambda = sum u v / sum ((u + v) / 2)^2, at most 1: what a seed does to one of
    them alone stays noise. Of few seeds the test seldom sees a small effect; the interval is then that of runs without
    a seed in common.
    """
    if a.seeds is None or b.seeds is None:
        return None
    ours, theirs = _effects(a), _effects(b)
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < LEAST:
        return None
    u, v = (np.array([effects[seed] for seed in common]) for effects in (ours, theirs))
    u, v = u - u.mean(), v - v.mean()
    if min(u @ u, v @ v) == 0 or correlated_by_chance(u, v) > LEVEL:
        return None
    middle = (u + v) / 2
    effects = (u @ v) / (middle @ middle) * middle
    return dict(zip(common, effects.tolist(), strict=True))


def correlated_by_chance(u: Array, v: Array) -> float:
    """The chance that independent normal numbers, three pairs or more, correlate as much as these, which sum to 0.

    (1 - r) / 2 has the distribution Beta(n / 2 - 1, n / 2 - 1) (Student 1908). It is the one-sided p of
    scipy.stats.pearsonr, whose module takes longer to import than most figures to draw.
    """
    r = (u @ v) / np.sqrt((u @ u) * (v @ v))
    return float(betainc(len(u) / 2 - 1, len(u) / 2 - 1, np.clip((1 - r) / 2, 0, 1)))


def _effects(draws: Draws) -> dict[int, float]:
    """The effect u_s of each seed that shares a dim with another: the least-squares fit of dims and seeds."""
    assert draws.seeds is not None
    x, y = draws.data.x, draws.data.y
    _, place = np.unique(x, return_inverse=True)
    several = np.array([len(set(draws.seeds[place == p].tolist())) > 1 for p in range(place.max() + 1)])[place]
    if not several.any():
        return {}
    dims, of_dim = np.unique(place[several], return_inverse=True)
    seeds, of_seed = np.unique(draws.seeds[several], return_inverse=True)
    design = np.zeros((several.sum(), len(dims) + len(seeds)))
    row = np.arange(len(design))
    design[row, of_dim] = design[row, len(dims) + of_seed] = 1
    fit = np.linalg.lstsq(design, y[several], rcond=None)[0]
    return dict(zip(seeds.tolist(), fit[len(dims) :].tolist(), strict=True))
