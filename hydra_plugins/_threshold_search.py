"""One search for a threshold: which runs come next, given those that ended."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_plugins._threshold_settings import Settings
from intrinsic.errors import UserError
from intrinsic.files.records import Record
from intrinsic.terminal.say import say

if TYPE_CHECKING:
    from analysis.studies.estimates import Estimate


class Search:
    """Baseline runs and one of the lowest size, which tells the largest one; a spread of sizes up to that, then runs
    around the running estimate.

    Args:
        setting: the overrides that all its runs share.
        baseline: those of the baseline.
        settings: of the search.
    """

    def __init__(self, setting: list[str], baseline: list[str], settings: Settings) -> None:
        self.setting, self.baseline, self.settings = setting, baseline, settings
        self.high = settings.high  # the largest size
        self.asked = 0  # runs that were asked for
        self.runs: list[str] = []  # the ids of those with a result
        self.errors: list[str] = []
        self.estimate: Estimate | None = None  # after `update`
        self._seeds: Counter[int] = Counter()  # how many runs of a size were asked for
        self._spread: list[int] = []  # the sizes to begin with, once the largest is known
        self._rows: Any = None  # the runs as a table

    def ask(self, batch: int) -> list[list[str]]:
        """The overrides of the runs that come next, about `batch` of them; none: the search is over."""
        from intrinsic.threshold import propose

        s = self.settings
        options = {"low": s.low, "high": self.high, "ratio": s.ratio, **s.options, "chance": None}
        jobs: list[list[str]] = []
        if not self.asked:
            for seed in range(s.baseline_seeds):
                jobs += [[*self.baseline, f"seed={seed}", *rate] for rate in _rates(s.baseline_lrs)]
            jobs += self._jobs([s.low], {s.low: s.lrs})
        elif not self._spread:
            self._spread = propose([], [], [1.0], low=s.low, high=self.high, batch=s.spread)
            jobs += self._jobs(self._spread[1:], dict.fromkeys(self._spread, s.lrs))  # the first is `low`
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

    def tell(self, job: Sequence[str], record: Record) -> None:
        """Note what came of a run that was asked for.

        Raises:
            UserError: if it shows that the space has no room for a search.
        """
        if not record.answered:
            self.errors.append(str(record.error))
            return
        self.runs.append(record.run_id)
        s = self.settings
        largest = {"dim": "full_dim", "rank": "largest_rank"}.get(s.axis)
        if largest is None or f"{s.axis}={s.low}" not in job or not isinstance(most := record.count(largest), int):
            return
        if s.axis == "dim" and record.config["subspace"].get("scales") is not None:
            most -= 1  # a scale stands in for a coordinate of its own
        if most <= s.low:
            raise UserError(f"need hydra.sweeper.low < {most}, the largest {s.axis} of this space, got low={s.low}")
        if most < self.high:
            say(f"{s.axis} ends at {most}: the space has no more for hydra.sweeper.high={s.high}", sys.stderr)
            self.high = most

    def update(self, folder: Path) -> None:
        """Estimate again, from the records in the study's folder; not before the spread was asked for.

        Raises:
            UserError: if they give no estimate: too few runs finished.
        """
        from analysis.studies.estimates import estimates, incomplete
        from analysis.studies.records import load_records

        s = self.settings
        if not self.runs:
            raise UserError(f"no run of the search has finished: {self.errors[0]}")
        if self.asked and not self._spread:
            return  # which comes next
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
