"""A job, of one run or a batch: what has its record is skipped, the rest trained. Imports torch only if it must."""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import experiments.config.resolvers  # noqa: F401  # in a worker
from experiments.config.check_mode import check_mode
from experiments.run.failure import failed_record, out_of_memory
from experiments.run.resolve import as_typed, members, resolve, sweeping
from experiments.run.run_folder import run_folder
from experiments.terminal.lines import summary
from experiments.terminal.sweep import Line, swept, tell, values_of
from intrinsic.errors import UserError
from intrinsic.files.lock import locked
from intrinsic.files.own_files import OwnFiles
from intrinsic.files.records import Record, read_record, write_record
from intrinsic.files.run_id import run_id
from intrinsic.terminal.lasting_imports import lasting_imports
from intrinsic.terminal.one_line import one_line
from intrinsic.terminal.say import say

OTHERWISE = "put it back, or take another study= for what it holds now"

if TYPE_CHECKING:
    from experiments.run.setup import Setup


@dataclass
class Run:
    """One run on its way to a record."""

    config: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    record: Record | None = None
    setup: "Setup | None" = None  # checked, of one among several

    @property
    def ended(self) -> Record:
        """Its record, when it has one."""
        assert self.record is not None
        return self.record


def run_job(cfg: DictConfig) -> Record | list[Record]:
    """Return the run's record, for a batch those of its runs; of a failed run what is known of it. Prints a line each.

    In a sweep a failure is reported and the next run goes on; alone, it is raised.
    """
    runs: list[Run] = []
    os.chdir(HydraConfig.get().runtime.cwd)  # under hydra.job.chdir=true: paths count from where the command was given
    with _reporting(runs, runs):
        check_mode()
        changes = members(cfg)
        runs += [Run() for _ in changes]
    for run, change in zip(runs, changes, strict=True):
        with _reporting(runs, [run]):
            run.config = resolve(cfg, change)
            run.folder = run_folder(run.config)
            _skip(runs, [run])
    _train(runs)
    records = [run.ended for run in runs]
    return records[0] if cfg["batch"] is None else records


def after_death(error: str, cfg: DictConfig) -> Record | list[Record]:
    """What `run_job` would return, had its process not died: the answers that are there, `error` for the other runs."""
    records = []
    os.chdir(HydraConfig.get().runtime.cwd)
    for change in members(cfg):
        config = resolve(cfg, change)
        record = read_record(run_folder(config))
        if record is None or not record.answered:
            record = Record(status="failed", error=error, config=config)
        records.append(record)
    return records[0] if cfg["batch"] is None else records


def _train(runs: Sequence[Run]) -> None:
    """Train the runs that have no record yet, several of them at once."""
    if not _waiting(runs):
        return
    with lasting_imports("torch"):
        from experiments.run.setup import Setup
        from experiments.run.train import train

    if len(_waiting(runs)) > 1:
        for run in _waiting(runs):
            with _reporting(runs, [run]):
                setup = Setup(run.config)
                setup.check()
                run.setup = setup
    waiting = _waiting(runs)
    with _reporting(runs, waiting), ExitStack() as locks:
        for folder in sorted({run.folder for run in waiting}):  # sorted, so that no two await one another
            locks.enter_context(
                locked(folder.parent / f".{folder.name}.lock", purpose=f"trains {folder}", setting="output")
            )
        _skip(runs, waiting)  # what another process has finished meanwhile
        waiting = _waiting(runs)
        try:
            if len(waiting) == 1:
                _end(runs, waiting[0], train(waiting[0].config, waiting[0].folder))
            elif waiting:
                from experiments.run.train_replicas import train_replicas

                for index, record in train_replicas([(run.setup, run.folder) for run in waiting if run.setup]):
                    _end(runs, waiting[index], record)
        except UserError:
            raise
        except Exception as error:
            line = " ".join(f"{type(error).__name__}: {error}".split())
            if out_of_memory(error):
                raise UserError(
                    f"out of memory ({one_line(line)}): use a smaller model, batch_size or replicas"
                ) from None
            for run in _waiting(waiting):
                try:
                    write_record(run.folder, failed_record(run.config, run.folder, line))
                except UserError as other:  # a full disk, say: no reason to be silent about the bug
                    say(f"error: {other}", sys.stderr)
            raise


def _skip(runs: Sequence[Run], some: Sequence[Run]) -> None:
    """End those of `some` runs that have their answer."""
    for run in some:
        record = read_record(run.folder)
        if record is not None and record.answered:
            if run_id(record.config) != run.folder.name:
                raise UserError(f"{run.folder}/record.json has the config of another run: delete it to run again")
            OwnFiles(record.files or {}).check(run.config, run.folder, OTHERWISE)
            _end(runs, run, record, skipped=True)


def _waiting(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.record is None]


def _end(runs: Sequence[Run], run: Run, record: Record, *, skipped: bool = False) -> None:
    run.record = record
    given = values_of(as_typed())
    told = {key: given.get(key, str(run.config.get(key))) for key in swept() if key in {*given, *run.config}}
    line = summary(record, run.folder, told, skipped=skipped, device=str(run.config["device"]))
    _tell(runs, line, found=skipped)


@contextmanager
def _reporting(runs: Sequence[Run], concerned: Sequence[Run]) -> Iterator[None]:
    """Report an error in a sweep, as the result of those `concerned` that have none yet; alone, end with it."""
    try:
        yield
    except UserError as error:
        if not sweeping():
            say(f"error: {error}", sys.stderr)
            sys.exit(2)
        for run in _waiting(concerned):
            run.record = Record(status="error", error=str(error), config=run.config)
            _tell(runs, f"error: {error}", error=True)
    except Exception as error:
        if not sweeping():
            raise
        for line in traceback.format_exc().splitlines():
            say(line, sys.stderr)
        for run in _waiting(concerned):
            run.record = Record(status="failed", error=f"{type(error).__name__}: {error}", config=run.config)


def _tell(runs: Sequence[Run], text: str, *, error: bool = False, found: bool = False) -> None:
    """Tell of the run that ended last."""
    tell(Line(text, error, ended=len(runs) - len(_waiting(runs)), found=found))
