"""The answer: a threshold in d, its interval, and how it was found."""

from dataclasses import dataclass, field, fields
from typing import Any

from intrinsic.threshold.draws import Draws


@dataclass(frozen=True)
class Threshold:
    """The dim at which the target is reached, in [low, high] with the stated confidence.

    Where the answer lies beyond the tried dims, `censored` says on which side, `value` is the bound (the largest dim
    tried for "above", the smallest for "below") and that side of the interval is None. An end of the interval can also
    be None without `censored`: then the estimate lies among the tried dims, but more than (1 - confidence) / 2 of the
    draws lie beyond them. No field but `draws` is ever NaN or infinite, so that `to_dict` is plain JSON.

    Examples:
        >>> import intrinsic
        >>> intrinsic.estimate_threshold([10, 30, 100], [0.1, 0.2, 0.3], baselines=[0.98]).censored
        'above'
    """

    value: float
    low: float | None
    high: float | None
    censored: str | None  # None, "above" or "below"
    estimator: str
    estimand: str
    target: float  # in the unit of the scores, as all below
    baseline: float  # the mean of the baselines
    runs: int  # scores used, without the baselines
    confidence: float
    fraction: float
    chance: float | None
    draws: Draws | None = field(default=None, compare=False, repr=False)  # for `compare_thresholds`

    def to_dict(self) -> dict[str, Any]:
        """Every field but the draws by its name, as JSON takes it."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "draws"}

    def __str__(self) -> str:
        """As in `d90 = 612 [560, 680] (95 %, auto, mean)` or `d90 > 1000 (95 %, auto, mean)`; `?` for an open end."""
        name = f"d{100 * self.fraction:g}"
        if self.censored is None:
            low, high = ("?" if end is None else _number(end) for end in (self.low, self.high))
            said = f"{name} = {_number(self.value)} [{low}, {high}]"
        else:
            said = f"{name} {'>' if self.censored == 'above' else '<'} {_number(self.value)}"
        return f"{said} ({100 * self.confidence:g} %, {self.estimator}, {self.estimand})"


def _number(value: float) -> str:
    """612, 9.4, 190000: three digits below 100, whole numbers above."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
