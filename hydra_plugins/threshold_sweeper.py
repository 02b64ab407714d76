"""A search for the smallest size that reaches a fraction of the baseline, through any launcher."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from experiments.config.check_once import check_once
from experiments.config.hydra_internals import BasicSweeper, ClosedLoader
from experiments.terminal.sweep import Sweep, differing, values_of
from hydra_plugins._check_sweep import check_sweep
from hydra_plugins._parallel_launcher import width
from hydra_plugins._threshold_search import Search
from hydra_plugins._threshold_settings import Settings
from intrinsic.errors import UserError
from intrinsic.terminal.say import say

OWN = ("seed", "lr")  # what a search sets by itself, beside its axis
METHOD = ("method", "space", "projection")  # groups whose choice is no part of the task, nor of its baseline


class ThresholdSweeper(Sweeper):
    """Baseline runs and a spread of sizes, then runs around the running estimate; a search for each combination.

    What comes next is a function of the results: stopped and started again, or asked for a narrower interval, it goes
    the same way and trains only what has no record. Writes <study>/threshold.json and figures.

    Args:
        settings: see `conf/hydra/sweeper/threshold.yaml`.

    Raises:
        UserError: for settings that are out of range, and for knobs that are the search's own.
    """

    def __init__(self, **settings: Any) -> None:
        self._given = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the settings and make the launcher."""
        from hydra.core.plugins import Plugins

        try:
            self.settings = Settings(**self._given)
        except TypeError as error:
            raise UserError(f"hydra.sweeper: {str(error).partition('() ')[2]}") from None
        self._loader, self._config = cast("ClosedLoader", hydra_context.config_loader), config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search until each interval is narrow enough or its runs are spent."""
        if self._config.replicas != 1:
            raise UserError(
                f"a search trains its runs one by one, got replicas={self._config.replicas}: use replicas=1"
            )
        searches = [Search(setting, self._baseline(setting), self.settings) for setting in self._settings(arguments)]
        folder = Path(self._config.output) / str(self._config.study)
        batch = self.settings.batch or max(2, width(self._launcher))
        returns: list[JobReturn] = []
        sweep = Sweep([], swept=self._swept(searches))
        while jobs := [(search, job) for search in searches for job in search.ask(batch)]:
            for _, job in jobs[:: max(1, len(jobs) - 1)]:  # first and last: a mistake shows before any work
                self._loader.load_sweep_config(self._config, job)
            sweep.sizes = [1] * (len(returns) + len(jobs))
            with sweep.launching():
                done = self._launcher.launch([job for _, job in jobs], initial_job_idx=len(returns))
            returns += done
            for (search, job), one in zip(jobs, done, strict=True):
                search.tell(job, one.return_value)
            for search in dict.fromkeys(search for search, _ in jobs):
                self._show(search, searches, folder)
        self._end(searches, folder)
        return returns

    def _settings(self, arguments: list[str]) -> list[list[str]]:
        """Every combination of the swept values, and the values that are given."""
        overrides = OverridesParser.create(config_loader=self._loader).parse_overrides(arguments)
        given = {override.get_key_element().lstrip("+~") for override in overrides}
        for name in given & {*OWN, self.settings.axis}:
            remedy = "use hydra.sweeper.lrs=[...]" if name == "lr" else "use hydra/sweeper=basic for a grid"
            raise UserError(f"the search sets {name} by itself: leave it out, or {remedy}")
        check_once(arguments)
        check_sweep(overrides)
        (settings,) = BasicSweeper.split_arguments(overrides, None)
        return settings

    def _swept(self, searches: Sequence[Search]) -> list[str]:
        """What differs between runs beside the axis and the seed."""
        rates = self.settings.lrs or self.settings.baseline_lrs
        return [*differing([values_of(search.setting) for search in searches]), *(["lr"] if rates else [])]

    def _baseline(self, setting: list[str]) -> list[str]:
        """The setting less what is of its method, and the baseline's own changes."""
        loader, changes = self._loader, list(self.settings.baseline)
        groups = [each for each in setting if loader.list_groups("") and _key(each) in loader.list_groups("")]
        kept = [each for each in groups if _key(each) not in METHOD]
        config = loader.load_sweep_config(self._config, [*kept, *changes])
        missing = object()
        for each in setting:
            if each not in groups and OmegaConf.select(config, _key(each), default=missing) is not missing:
                kept.append(each)
        return [*kept, *changes]

    def _show(self, search: Search, searches: Sequence[Search], folder: Path) -> None:
        """Estimate again and print a line about it."""
        search.update(folder)
        if search.estimate is None:
            return
        own, s = "".join(f"{each} " for each in _own(search, searches)), self.settings
        reached = f"{s.axis} {search.estimate.threshold}"
        if search.estimate.threshold is None or search.estimate.threshold.censored != "start":
            reached += f" on {s.searched} data, until high / low <= {s.ratio}"
        say(f"{own}{search.asked} runs of at most {s.max_runs}: {reached}")

    def _end(self, searches: list[Search], folder: Path) -> None:
        """Write and print what each search found."""
        from analysis.figures.command import print_outcome
        from analysis.threshold import threshold

        s = self.settings
        for number, search in enumerate(searches):
            name = "threshold" if len(searches) == 1 else f"threshold-{number + 1}"
            drawn = threshold(
                folder,
                axis=s.axis,
                split=s.split,
                epoch=s.epoch,
                metric=s.metric,
                across=s.across,
                runs=search.runs,
                name=name,
                setting=_own(search, searches),
                **s.options,
            )
            print_outcome(drawn)
        if any(search.errors for search in searches):
            sys.exit(1)


def _own(search: Search, searches: Sequence[Search]) -> list[str]:
    """The overrides that tell a search from others."""
    return [each for each in search.setting if any(each not in other.setting for other in searches)]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")
