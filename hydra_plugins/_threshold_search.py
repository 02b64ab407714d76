"""One search for a threshold: which runs come next, given those that ended."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_plugins._check_sweep import RUNS
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.files.records import Record

if TYPE_CHECKING:
    from analysis.studies.estimates import Estimate


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


class Search:
    """Baseline runs and a spread of sizes, then runs around the running estimate.

    Args:
        setting: the overrides that all its runs share.
        baseline: those of the baseline.
        settings: of the search.
    """

    def __init__(self, setting: list[str], baseline: list[str], settings: Settings) -> None:
        self.setting, self.baseline, self.settings = setting, baseline, settings
        self.asked = 0  # runs that were asked for
        self.runs: list[str] = []  # the ids of those with a result
        self.errors: list[str] = []
        self.estimate: Estimate | None = None  # after `update`
        self._seeds: Counter[int] = Counter()  # how many runs of a size were asked for
        self._spread: list[int] = []  # the sizes to begin with
        self._rows: Any = None  # the runs as a table

    def ask(self, batch: int) -> list[list[str]]:
        """The overrides of the runs that come next, about `batch` of them; none: the search is over."""
        from intrinsic.threshold import propose

        s = self.settings
        options = {"low": s.low, "high": s.high, "ratio": s.ratio, **s.options, "chance": None}
        jobs: list[list[str]] = []
        if not self.asked:
            for seed in range(s.baseline_seeds):
                jobs += [[*self.baseline, f"seed={seed}", *rate] for rate in _rates(s.baseline_lrs)]
            self._spread = propose([], [], [1.0], low=s.low, high=s.high, batch=s.spread)
            jobs += self._jobs(self._spread, dict.fromkeys(self._spread, s.lrs))
        elif self.estimate is not None:
            each, known = self.estimate, self.estimate.threshold
            options |= {"floor": known and known.floor, "start": known and known.start}
            count = max(1, batch // min(3, len(s.lrs or [0])))
            sizes = propose(each.dims, each.scores, each.baselines, batch=count, **options)
            rates = {size: self._near(size) for size in sizes}
            for size in sizes:
                more = self._jobs([size], rates)
                if self.asked + len(jobs) + len(more) <= s.max_runs:
                    jobs += more
        self.asked += len(jobs)
        return jobs

    def tell(self, record: Record) -> None:
        """Note what came of a run that was asked for."""
        if record.answered:
            self.runs.append(record.run_id)
        else:
            self.errors.append(str(record.error))

    def update(self, folder: Path) -> None:
        """Estimate again, from the records in the study's folder.

        Raises:
            UserError: if they give no estimate: too few runs finished.
        """
        from analysis.studies.estimates import estimates, incomplete
        from analysis.studies.records import load_records

        s = self.settings
        if not self.runs:
            raise UserError(f"no run of the search has finished: {self.errors[0]}")
        frame, _ = load_records([folder], (), s.searched, s.epoch, self.runs, s.across, s.metric)
        self._rows, _, found = estimates(frame, axis=s.axis, split=s.searched, across=s.across, **s.options)
        problem = incomplete(found, s.axis)
        if problem is not None:
            raise UserError(f"{problem}; {len(self.errors)} runs failed{': ' + self.errors[0] if self.errors else ''}")
        if len(found) > 1:
            raise UserError(f"the runs of one search make several curves: {'; '.join(each.curve for each in found)}")
        self.estimate = found[0]

    def _jobs(self, sizes: Sequence[int], rates: dict[int, Sequence[float] | None]) -> list[list[str]]:
        jobs = []
        for size in sizes:
            start = [*self.setting, f"{self.settings.axis}={size}", f"seed={self._seeds[size]}"]
            jobs += [[*start, *rate] for rate in _rates(rates[size])]
            self._seeds[size] += 1
        return jobs

    def _near(self, size: int) -> Sequence[float] | None:
        """The learning rate chosen at the nearest size of the spread, and its neighbours."""
        rates = self.settings.lrs
        if rates is None:
            return None
        chosen = self._rows[self._rows["chosen"] & self._rows["x"].isin(self._spread) & self._rows["score"].notna()]
        ratio = (chosen["x"].astype(float) / size).map(lambda r: max(r, 1 / r))
        best = sorted(rates).index(float(chosen.loc[ratio.idxmin(), "lr"]))
        return sorted(rates)[max(0, best - 1) : best + 2]


def _rates(rates: Sequence[float] | None) -> list[list[str]]:
    return [[]] if rates is None else [[f"lr={rate}"] for rate in rates]


def _is_a(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
