"""Searches whose true threshold is known: curves of five shapes, noise, and three designs of 21 runs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from intrinsic.threshold import propose

Array = np.ndarray
LOW, HIGH, RUNS = 10, 10_240, 21  # ten octaves
BASELINE = 0.95  # true mean of full training
TARGET = 0.9 * BASELINE
CHANCE = 0.1
RESAMPLES = 400  # of each estimate
NOISES = (0.01, 0.03, 0.06)  # sd over seeds, of runs and baselines alike


def _sigmoid(u: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * u))


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def logistic(u: Array) -> Array:
    """What a global logistic assumes; 0.21 an octave at the crossing."""
    return CHANCE + (BASELINE - CHANCE) * _sigmoid(2.5 * u + _logit((TARGET - CHANCE) / (BASELINE - CHANCE)))


def power_law(u: Array) -> Array:
    """BASELINE - c d^-2.2, cut at chance: a kink at the foot, a long shoulder; 0.145 an octave at the crossing."""
    return np.maximum(BASELINE - (BASELINE - TARGET) * 2 ** (-2.2 * u), CHANCE)


def step(u: Array) -> Array:
    """All at once: only the two dims around it say where."""
    return np.where(u >= 0, BASELINE, 0.25)


def two_phases(u: Array) -> Array:
    """A first rise to 0.6 four octaves earlier, then the one that counts; 0.26 an octave at the crossing."""
    second = BASELINE - CHANCE - 0.5
    return CHANCE + 0.5 * _sigmoid(2.5 * (u + 4)) + second * _sigmoid(3 * u + _logit((TARGET - 0.6) / second))


def bump(u: Array) -> Array:
    """The logistic, less steep (0.15), with a bump of 0.25 three octaves before the crossing: up, down, and up again.

    The bump stays below the target, so that the mean crosses it once. Where a mean crosses more than once, the
    threshold is the first crossing: the fewest numbers that do.
    """
    rise = 1.8 * u + _logit((TARGET - CHANCE) / (BASELINE - CHANCE))
    return CHANCE + (BASELINE - CHANCE) * _sigmoid(rise) + 0.25 * np.exp(-0.5 * ((u + 3.2) / 0.6) ** 2)


SHAPES: dict[str, Callable[[Array], Array]] = {
    "logistic": logistic,
    "power law": power_law,
    "step": step,
    "two phases": two_phases,
    "bump": bump,
}
DESIGNS = ("7 dims x 3 seeds", "21 dims x 1 seed", "adaptive, 21 runs")


@dataclass(frozen=True)
class SimulatedSearch:
    """One simulated search."""

    dims: list[int]
    scores: list[float]
    baselines: list[float]
    truth: float  # log2 of the true threshold


def search(shape: str, noise: float, design: str, number: int, truth: float | None = None) -> SimulatedSearch:
    """Simulate search `number`: its threshold is drawn anew, evenly in log d from 32 to 256 times the smallest dim.

    Grids have 3, 4 or 5 baselines in turn; adaptive searches have 5, and place 14 runs in pairs by `propose`.

    Args:
        shape: of `SHAPES`, as a function of the octaves from the threshold.
        noise: sd of a score over seeds, in accuracy.
        design: of `DESIGNS`.
        number: seed; the same number is the same search.
        truth: log2 of its threshold; None: drawn.
    """
    rng = np.random.default_rng([number, round(1000 * noise), list(SHAPES).index(shape), DESIGNS.index(design)])
    drawn = float(np.log2(LOW) + rng.uniform(5, 8))
    truth = drawn if truth is None else truth

    def run(dims: list[int]) -> list[float]:
        means = SHAPES[shape](np.log2(np.array(dims, dtype=float)) - truth)
        return [float(score) for score in means + noise * rng.standard_normal(len(dims))]

    adaptive = design == DESIGNS[2]
    count = 5 if adaptive else 3 + number % 3
    baselines = [float(score) for score in BASELINE + noise * rng.standard_normal(count)]
    places, seeds = (RUNS, 1) if design == DESIGNS[1] else (7, 1 if adaptive else 3)
    dims = [round(float(dim)) for dim in np.repeat(np.geomspace(LOW, HIGH, places), seeds)]
    scores = run(dims)
    while adaptive and len(dims) < RUNS:
        batch = propose(dims, scores, baselines, low=LOW, high=HIGH, batch=2, ratio=1.001)
        if not batch:  # known to the whole number
            break
        dims += batch
        scores += run(batch)
    return SimulatedSearch(dims, scores, baselines, truth)
