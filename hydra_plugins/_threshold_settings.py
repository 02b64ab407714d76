"""The settings of a search for a threshold, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra_plugins._check_sweep import RUNS
from intrinsic.checks import integer
from intrinsic.errors import UserError


@dataclass(frozen=True)
class Settings:
    """What `conf/hydra/sweeper/threshold.yaml` says.

    Raises:
        UserError: for a setting that is out of range, and a budget that cannot pay the baseline and the spread.
    """

    axis: str
    low: int
    high: int
    ratio: float
    max_runs: int
    spread: int
    lrs: Sequence[float] | None
    baseline: Sequence[str]
    across: Sequence[str]
    baseline_seeds: int
    baseline_lrs: Sequence[float] | None
    batch: int | None
    fraction: float
    floor: str | float | None
    chance: float | None
    estimator: str
    estimand: str
    confidence: float
    split: str | None
    epoch: str
    metric: str | None

    def __post_init__(self) -> None:
        for name, least in (
            ("low", 1),
            ("high", 1),
            ("max_runs", 1),
            ("spread", 7),
            ("baseline_seeds", 1),
            ("batch", 1),
        ):
            value = getattr(self, name)
            if (name, value) != ("batch", None):
                integer(f"hydra.sweeper.{name}", value, least)
        if not self.low < self.high:
            raise UserError(f"need hydra.sweeper.low < high, got low={self.low} high={self.high}")
        if not _is_a(self.ratio, int | float) or not self.ratio > 1:
            raise UserError(f"need hydra.sweeper.ratio to be a number > 1, got {self.ratio}")
        for name in ("lrs", "baseline_lrs"):
            rates = getattr(self, name)
            listed = isinstance(rates, Sequence) and not isinstance(rates, str) and len(rates) > 0
            if rates is not None and not (listed and all(_is_a(rate, int | float) and rate > 0 for rate in rates)):
                raise UserError(f"need hydra.sweeper.{name} to be null or a list of numbers > 0, got {rates}")
        if isinstance(self.baseline, str) or not all(isinstance(each, str) and "=" in each for each in self.baseline):
            raise UserError(f"need hydra.sweeper.baseline to be a list such as [method=full], got {self.baseline}")
        if isinstance(self.across, str) or not all(isinstance(key, str) for key in self.across):
            raise UserError(f"need hydra.sweeper.across to be a list such as [init.source], got {self.across}")
        for name, known in (("split", ("test", "validation", "train", None)), ("epoch", ("last", "best"))):
            if getattr(self, name) not in known:
                shown = ", ".join(each or "null" for each in known)
                raise UserError(f"need hydra.sweeper.{name} to be one of {shown}, got {getattr(self, name)}")
        least = self.baseline_seeds * len(self.baseline_lrs or [0]) + self.spread * len(self.lrs or [0])
        if not least <= self.max_runs <= RUNS:
            raise UserError(
                f"need hydra.sweeper.max_runs from {least}, for baseline and spread, to {RUNS}, got {self.max_runs}"
            )
        if self.batch is not None and self.batch > self.max_runs:
            raise UserError(f"need hydra.sweeper.batch <= max_runs={self.max_runs}, got {self.batch}")
        from analysis.studies.floor import Floor
        from intrinsic.threshold import estimate_threshold

        Floor.of(self.floor, self.chance, "hydra.sweeper.floor")
        options = {name: value for name, value in self.options.items() if name not in ("floor", "chance")}
        estimate_threshold(
            [1, 2, 4], [0.0, 0.5, 1.0], [1.0], resamples=100, **options
        )  # refuses options before any work

    @property
    def options(self) -> dict[str, Any]:
        """Of `analysis.threshold`, and but for the floor of `estimate_threshold`."""
        names = ("fraction", "floor", "chance", "estimator", "estimand", "confidence")
        return {name: getattr(self, name) for name in names}

    @property
    def searched(self) -> str:
        """The split by whose scores sizes are chosen."""
        return self.split or "validation"


def _is_a(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
