"""The answer to which of two thresholds is smaller, and by how much."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """The ratio a / b of two thresholds, in [low, high] with the stated confidence.

    `ratio` is None where one of the two lies beyond its tried dims: the interval then says what is known. An end of it
    is None where the runs do not determine it. `p_less` is the probability that a < b; pairs of draws of which the
    tried dims do not say it count one half. No field is ever NaN or infinite.

    Examples:
        >>> import intrinsic
        >>> dims, fast, slow = [10, 30, 100, 300, 1000], [0.4, 0.9, 0.95, 0.96, 0.97], [0.1, 0.2, 0.6, 0.92, 0.96]
        >>> a, b = (intrinsic.estimate_threshold(dims * 2, scores * 2, [0.98, 0.97]) for scores in (fast, slow))
        >>> found = intrinsic.compare_thresholds(a, b)
        >>> found.high < 1 and found.p_less > 0.975
        True
    """

    ratio: float | None  # a / b
    low: float | None
    high: float | None
    p_less: float  # that a < b
    confidence: float
    paired: tuple[str, ...] = ()  # noise that both share and that is taken off: "baselines", "seeds"

    def to_dict(self) -> dict[str, Any]:
        """Every field by its name, as JSON takes it."""
        return asdict(self) | {"paired": list(self.paired)}

    def __str__(self) -> str:
        """As in `0.24 [0.18, 0.31] (95 %), P(a < b) = 1.000`; `?` for what the runs do not determine."""
        ratio, low, high = ("?" if part is None else f"{part:.3g}" for part in (self.ratio, self.low, self.high))
        return f"{ratio} [{low}, {high}] ({100 * self.confidence:g} %), P(a < b) = {self.p_less:.3f}"
