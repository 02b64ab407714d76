"""Hydra's grid of runs, with a table of their results at the end."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import open_dict, read_write

from experiments.config.check_once import check_once
from experiments.config.hydra_internals import BasicSweeper
from experiments.run.answer import answer
from experiments.terminal.lines import summary
from experiments.terminal.sweep import Line, Sweep, differing, show, values_of
from hydra_plugins._check_sweep import check_sweep
from hydra_plugins._parallel_launcher import ParallelLauncher
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.files.records import Record

TOGETHER = r"(seed|seeds\.\w+|lr)="  # what may differ between runs that are trained at once


@dataclass
class Job:
    """What is launched at once: the overrides, and the numbers of the runs of the grid that they stand for."""

    overrides: list[str]
    runs: list[int]


class GridSweeper(BasicSweeper):
    """Every combination of the swept values, through any launcher; then one row for each run.

    With `replicas`, up to so many runs that are equal but for seeds and lr are one job, which trains them at once. A
    failing run does not end the sweep; it ends with exit status 1 if any failed.

    Args:
        max_batch_size: jobs that are launched at once; None: all.
        params: values that are always swept.
        search: settings of a search that an experiment asks for; a grid has no use for them.

    Raises:
        UserError: for replicas that are no count, or a batch that is not left to the sweeper.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None, **search: Any) -> None:
        super().__init__(max_batch_size, params)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the grid and print the table."""
        chunks = self._runs(arguments)
        runs = [run for chunk in chunks for run in chunk]
        replicas = self._replicas(runs)
        answers = self._answers(runs)
        self._chunks, number = [], 0
        for chunk in chunks:
            left = {n: run for n, run in enumerate(chunk, start=number) if n not in answers}
            self._chunks.append(_grouped(left, replicas))
            number += len(chunk)
        jobs = [job for chunk in self._chunks for job in chunk]
        found = {number: record for number, (record, _) in answers.items()}
        given = [values_of(run) for run in runs]
        swept = differing(given)
        with Sweep([len(job.runs) for job in jobs], skipped=len(answers), swept=swept).launching():
            for before, (number, (record, folder)) in enumerate(answers.items()):
                told, device = {key: given[number][key] for key in swept}, given[number].get("device", "")
                show(Line(summary(record, folder, told, skipped=True, device=device), ended=1), before)
            returns = super().sweep(arguments)
        for job, done in zip(jobs, (done for chunk in returns for done in chunk), strict=True):
            results = done.return_value if len(job.runs) > 1 else [done.return_value]
            for run, record in zip(job.runs, results, strict=True):
                found[run] = record
        records = [found[number] for number in range(len(runs))]
        from experiments.terminal.table import print_table

        print_table(given, records)
        if any(not record.answered for record in records):
            sys.exit(1)
        return returns

    def get_job_batch(self) -> Sequence[Sequence[str]]:
        """The overrides of the jobs that are launched next."""
        super().get_job_batch()  # counts
        return [job.overrides for job in self._chunks[self.batch_index - 1]]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing more: the configs of all runs were composed before."""

    def _answers(self, runs: Sequence[list[str]]) -> dict[int, tuple[Record, Path]]:
        """Compose the config of every run, so that a mistake shows early; the records and folders of those that ended.

        A job of Hydra's would take 0.1 s to find the record, and a worker first of all its imports.
        """
        assert self.hydra_context is not None
        assert self.config is not None
        found = {}
        for number, run in enumerate(runs):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, run)
            overrides = list(config.hydra.overrides.task)
            with read_write(config), open_dict(config):
                del config["hydra"]
                if isinstance(self.launcher, ParallelLauncher) and config.threads is None:
                    config.threads = self.launcher.threads  # as its jobs will have
            answered = answer(config, overrides)
            if answered is not None:
                found[number] = answered
        return found

    def _runs(self, arguments: list[str]) -> list[list[list[str]]]:
        """The overrides of every run, in the chunks that are launched one after another."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([f"{key}={value}" for key, value in self.params.items()] + arguments)
        check_once(arguments)
        check_sweep(overrides)
        return self.split_arguments(overrides, self.max_batch_size)

    def _replicas(self, runs: list[list[str]]) -> int:
        """How many runs may be one job."""
        assert self.config is not None
        batch = self.config.batch
        given = {override for run in runs for override in run}
        swept = sorted(override for override in given if override.startswith("replicas="))
        if len(swept) > 1:
            raise UserError(f"need one value of replicas for all runs, got {' '.join(swept)}: sweep seed or lr")
        replicas = integer("replicas", self.config.replicas, 1)
        if batch is not None or any(override.startswith("batch=") for override in given):
            raise UserError(f"a sweep fills in batch by itself, got batch={batch}: give replicas, seed and lr instead")
        return replicas


def _grouped(runs: dict[int, list[str]], replicas: int) -> list[Job]:
    """Jobs of up to `replicas` runs that are equal but for seeds and lr, of runs by their numbers."""
    if replicas == 1:
        return [Job(run, [number]) for number, run in runs.items()]
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, run in runs.items():
        alike.setdefault(tuple(o for o in run if not re.match(TOGETHER, o)), []).append(number)
    jobs = []
    for shared, members in alike.items():
        for start in range(0, len(members), replicas):
            some = members[start : start + replicas]
            own = [_member(o for o in runs[n] if o not in shared) for n in some]
            batch = [*shared, "batch=[" + ",".join(own) + "]"]
            jobs.append(Job(runs[some[0]] if len(some) == 1 else batch, some))
    return jobs


def _member(overrides: Iterable[str]) -> str:
    """A run's own values as a mapping that Hydra reads: {seed:0,lr:0.1,seeds:{init:3}}."""
    pairs = [override.partition("=")[::2] for override in overrides]
    own = [f"{key}:{value}" for key, value in pairs if "." not in key]
    seeds = [f"{key.partition('.')[2]}:{value}" for key, value in pairs if "." in key]
    return "{" + ",".join(own + [f"seeds:{{{','.join(seeds)}}}"] * bool(seeds)) + "}"


# In place of Hydra's own, under its name: what config.yaml would override, no experiment could override again.
_NODE = {"_target_": f"{__name__}.GridSweeper", "max_batch_size": None, "params": None}
ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=_NODE, provider="intrinsic")
