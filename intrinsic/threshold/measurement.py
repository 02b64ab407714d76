"""The scores of a search, checked: what every estimator reads."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intrinsic.checks import number, numbers
from intrinsic.errors import UserError
from intrinsic.threshold.reaches import reaches

Array = np.ndarray
ESTIMANDS = ("mean", "success")
POOLED = 3.0  # how many degrees of freedom the runs' noise adds to that of the baselines


@dataclass(frozen=True)
class Measurement:
    """Runs and baselines with scores turned so that higher is better, and the target that they set."""

    x: Array  # (n,) log2 of the dims
    y: Array  # (n,) scores; losses with their sign changed
    baselines: Array  # (b,) the same
    fraction: float  # of the baseline, in (0, 1)
    floor: float | None  # the score from which the fraction counts, as it was given; None: 0
    start: float | None  # the score at d = 0, as it was given; None: nobody said
    sign: float  # +1, or -1 for losses

    @property
    def target(self) -> float:
        """The target that the baselines' mean sets, turned."""
        return float(self.target_of(self.baselines.mean(keepdims=True))[0])

    @property
    def starts_there(self) -> bool:
        """Whether the start reaches the target, before anything is trained: d = 0."""
        return self.start is not None and bool(reaches(self.sign * self.start, self.target))

    def target_of(self, means: Array) -> Array:
        """The targets that these means of baselines set, both turned."""
        if self.floor is not None:
            return self.sign * self.floor + self.fraction * (means - self.sign * self.floor)
        return means / self.fraction if self.sign < 0 else means * self.fraction

    def draw_targets(self, draws: int, noise: float, dof: float, rng: np.random.Generator) -> Array:
        """Targets by baselines drawn anew: mean + s t / sqrt(b), with Student's t as there are few.

        s^2 pools the baselines' variance (b - 1 degrees of freedom) with that of the runs, `noise`^2, which counts for
        at most 3: of a single baseline the noise is that of the runs.
        """
        count = len(self.baselines)
        share = min(dof, POOLED)
        freedom = share + count - 1
        variance = (share * noise**2 + np.sum((self.baselines - self.baselines.mean()) ** 2)) / freedom
        means = self.baselines.mean() + math.sqrt(variance / count) * rng.standard_t(freedom, draws)
        return self.target_of(means)


def measurement(
    dims: Sequence[int],
    scores: Sequence[float],
    baselines: Sequence[float],
    *,
    fraction: float,
    floor: float | None,
    chance: float | None,
    start: float | None,
    lower_is_better: bool,
) -> Measurement:
    """Check the numbers and turn them so that higher is better.

    The target is fraction * baseline, or floor + fraction * (baseline - floor). Of a loss, it is baseline / fraction
    (the loss may be so much higher), or again floor + fraction * (baseline - floor), where the floor is the higher.

    Raises:
        UserError: something else than numbers; lengths differ; dims are not whole numbers from 1 on; scores, baselines,
            floor or start are not finite; no baselines; fraction not in (0, 1); a floor by both of its names; a
            baseline that is not better than the floor, or than 0 without one.
    """
    dims, scores, baselines = numbers("dims", dims), numbers("scores", scores), numbers("baselines", baselines)
    if floor is not None and chance is not None:
        raise UserError(f"need floor or chance, its older name, got floor={floor} and chance={chance}: leave one out")
    name = "floor" if chance is None else "chance"
    floor = floor if chance is None else chance
    fraction, floor = number("fraction", fraction), None if floor is None else number(name, floor)
    start = None if start is None else number("start", start)
    if len(dims) != len(scores):
        raise UserError(f"need one score for each dim, got {len(dims)} dims and {len(scores)} scores")
    bad = [dim for dim in dims if not math.isfinite(dim) or dim != int(dim) or dim < 1]
    if bad:
        raise UserError(f"need whole dims from 1 on, got dim={bad[0]}")
    if not len(baselines):
        raise UserError("need at least one baseline, got none: run full training (method=full) with some seeds")
    for kind, values in (("scores", scores), ("baselines", baselines)):
        wrong = [value for value in values if not math.isfinite(value)]
        if wrong:
            raise UserError(f"need finite {kind}, got {wrong[0]}; leave out diverged runs or give them the worst score")
    if not 0 < fraction < 1:
        raise UserError(f"need 0 < fraction < 1, got fraction={fraction}")
    mean = math.fsum(baselines) / len(baselines)
    if floor is None and mean <= 0:
        raise UserError(f"need a baseline above 0, got a mean of {mean:g}; give the score of a guess as floor")
    if floor is not None and (mean >= floor if lower_is_better else mean <= floor):
        better = "below" if lower_is_better else "above"
        raise UserError(f"need a baseline {better} {name}, got a mean of {mean:g} and {name}={floor:g}")
    sign = -1.0 if lower_is_better else 1.0

    x = np.log2(np.asarray(dims, dtype=float))
    y, full = sign * np.asarray(scores, float), sign * np.asarray(baselines, float)
    return Measurement(x, y, full, fraction, floor, start, sign)
