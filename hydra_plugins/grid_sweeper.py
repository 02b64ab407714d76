"""Hydra's grid of runs, with a table of their results at the end."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore

from experiments.config.hydra_internals import BasicSweeper
from experiments.terminal.sweep import Sweep
from hydra_plugins._check_sweep import check_sweep
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.files.records import Record

TOGETHER = ("seed", "lr")  # what may differ between runs that are trained at once


@dataclass
class Job:
    """What is launched at once: the overrides, and the numbers of the runs of the grid that they stand for."""

    overrides: list[str]
    runs: list[int]


class GridSweeper(BasicSweeper):
    """Every combination of the swept values, through any launcher; then one row for each run.

    With `replicas`, up to so many runs that are equal but for seed and lr are one job, which trains them at once. A
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
        self._chunks: list[list[Job]] = []
        jobs: list[Job] = []
        for chunk in chunks:
            self._chunks.append(_grouped(chunk, replicas, first=sum(len(job.runs) for job in jobs)))
            jobs += self._chunks[-1]
        with Sweep([len(job.runs) for job in jobs]).launching():
            returns = super().sweep(arguments)
        found: dict[int, Record] = {}
        for job, done in zip(jobs, (done for chunk in returns for done in chunk), strict=True):
            results = done.return_value if len(job.runs) > 1 else [done.return_value]
            for run, record in zip(job.runs, results, strict=True):
                found[run] = record
        records = [found[number] for number in range(len(runs))]
        from experiments.terminal.table import print_table

        print_table([dict(override.lstrip("+").split("=", 1) for override in run) for run in runs], records)
        if any(not record.answered for record in records):
            sys.exit(1)
        return returns

    def get_job_batch(self) -> Sequence[Sequence[str]]:
        """The overrides of the jobs that are launched next."""
        super().get_job_batch()  # counts
        return [job.overrides for job in self._chunks[self.batch_index - 1]]

    def _runs(self, arguments: list[str]) -> list[list[list[str]]]:
        """The overrides of every run, in the chunks that are launched one after another."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([f"{key}={value}" for key, value in self.params.items()] + arguments)
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


def _grouped(runs: list[list[str]], replicas: int, first: int) -> list[Job]:
    """Jobs of up to `replicas` runs that are equal but for seed and lr; runs are numbered from `first`."""
    if replicas == 1:
        return [Job(run, [number]) for number, run in enumerate(runs, start=first)]
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, run in enumerate(runs):
        alike.setdefault(tuple(o for o in run if o.partition("=")[0] not in TOGETHER), []).append(number)
    jobs = []
    for shared, members in alike.items():
        for start in range(0, len(members), replicas):
            some = members[start : start + replicas]
            own = [",".join(o.replace("=", ":", 1) for o in runs[n] if o not in shared) for n in some]
            batch = [*shared, "batch=[" + ",".join(f"{{{values}}}" for values in own) + "]"]
            jobs.append(Job(runs[some[0]] if len(some) == 1 else batch, [first + number for number in some]))
    return jobs


# In place of Hydra's own, under its name: what config.yaml would override, no experiment could override again.
_NODE = {"_target_": f"{__name__}.GridSweeper", "max_batch_size": None, "params": None}
ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=_NODE, provider="intrinsic")
