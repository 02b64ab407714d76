"""The answer: a threshold in d, its interval, and how it was found."""

from dataclasses import dataclass, field, fields
from typing import Any

from intrinsic.threshold.draws import Draws

REMEDY = "use floor=start"


@dataclass(frozen=True)
class Threshold:
    """The dim at which the target is reached, in [low, high] with the stated confidence.

    Where the answer lies beyond the tried dims, `censored` says on which side, `value` is the bound (the largest dim
    tried for "above", the smallest for "below") and that side of the interval is None. An end of the interval can also
    be None without `censored`: then the estimate lies among the tried dims, but more than (1 - confidence) / 2 of the
    draws lie beyond them. Where the start reaches the target before any training, `censored` is "start", `value` is 0,
    and there are no interval and no draws: nothing is fitted.

    No field but `draws` is ever NaN or infinite, so that `to_dict` is plain JSON.

    Examples:
        >>> import intrinsic
        >>> intrinsic.estimate_threshold([10, 30, 100], [0.1, 0.2, 0.3], baselines=[0.98]).censored
        'above'
    """

    value: float
    low: float | None
    high: float | None
    censored: str | None  # None, "above", "below" or "start"
    estimator: str
    estimand: str
    target: float  # in the unit of the scores, as all below
    baseline: float  # the mean of the baselines
    runs: int  # scores used, without the baselines
    confidence: float
    fraction: float
    floor: float | None = None  # from which the fraction counts; None: 0
    start: float | None = None  # the score at d = 0; None: not known
    chance: float | None = None  # the older name of `floor`, which files of before have
    draws: Draws | None = field(default=None, compare=False, repr=False)  # for `compare_thresholds`

    def __post_init__(self) -> None:
        """Let both names of the floor say the same."""
        floor = self.chance if self.floor is None else self.floor
        for name in ("floor", "chance"):
            object.__setattr__(self, name, floor)

    @property
    def is_bound(self) -> bool:
        """Whether all of the interval lies beyond the tried dims, on the side of `censored`."""
        return self.value == {"above": self.low, "below": self.high}.get(self.censored or "")

    def to_dict(self) -> dict[str, Any]:
        """Every field but the draws by its name, as JSON takes it."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "draws"}

    def __str__(self) -> str:
        """As in `d90 = 612 [560, 680] (95 %, auto, mean)` or `d90 > 1,000 (95 %, auto, mean)`; `?` for an open end.

        A bound that the estimate lies beyond, and not all of its interval, has both: `d90 > 1,000 [400, ?] (95 %, …)`.
        Where the start reaches the target: `d90 = 0 (the start is above the target: 0.95 >= 0.88; use floor=start)`.
        """
        name = f"d{100 * self.fraction:g}"
        if self.censored == "start":
            assert self.start is not None
            sign = ">=" if self.start >= self.target else "<="  # a loss starts below it
            above = "above" if sign == ">=" else "below"
            return f"{name} = 0 (the start is {above} the target: {self.start:.4g} {sign} {self.target:.4g}; {REMEDY})"
        sign = {None: "=", "above": ">", "below": "<"}[self.censored]
        low, high = ("?" if end is None else _number(end) for end in (self.low, self.high))
        interval = "" if self.is_bound else f" [{low}, {high}]"
        said = f"{name} {sign} {_number(self.value)}{interval}"
        return f"{said} ({100 * self.confidence:g} %, {self.estimator}, {self.estimand})"


def _number(value: float) -> str:
    """612, 9.4, 190,000: three digits below 100, whole numbers above."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
