"""A job of a sweep on its way to another process, and what comes back."""

import os
import pickle
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from experiments.terminal.sweep import Line, Sweep, collect_lines, swept, values_of
from intrinsic.own_packages import look_in

SHARED = ("INTRINSIC_", "WANDB_")  # how the names of environment variables begin that a job needs, wherever it runs


def _environment() -> dict[str, str]:
    """Without keys: submitit keeps what it sends in files."""
    return {name: value for name, value in os.environ.items() if name.startswith(SHARED) and "KEY" not in name}


@dataclass(frozen=True)
class JobResult:
    """What is left of a job: Hydra's return, with the records of its runs, and its lines for the terminal."""

    done: JobReturn
    lines: Sequence[Line]

    @property
    def runs(self) -> int:
        """How many runs it was."""
        value = self.done.return_value if self.done.status is JobStatus.COMPLETED else None
        return len(value) if isinstance(value, list) else 1


@dataclass(frozen=True)
class SweepJob:
    """What all jobs of a sweep have in common; called with one job's overrides and number, in any process.

    It travels by cloudpickle, as its answer does: between processes of one user, never from a file of a stranger.

    Args:
        context: Hydra's.
        function: the program's task function.
        config: of the sweep.
        threads: of the CPU, for jobs whose config leaves them to torch: workers that share a machine with one thread
            for each core each hinder one another.
        parent: the process on this machine without which the job shall end; None: it goes on.
    """

    context: HydraContext
    function: TaskFunction
    config: DictConfig
    threads: int
    parent: int | None = None
    swept: Sequence[str] = field(default_factory=swept)
    singletons: dict[Any, Any] = field(default_factory=Singleton.get_state)
    environment: dict[str, str] = field(default_factory=_environment)
    folder: Path = field(default_factory=Path.cwd)
    path: Sequence[str] = field(default_factory=lambda: [place for place in sys.path if place])

    def __call__(self, overrides: Sequence[str], number: int) -> JobResult:
        """Run a job here, in a process that does nothing else meanwhile; its lines are kept, not printed."""
        if self.parent is not None:
            _end_with(self.parent)
        os.chdir(self.folder)
        os.environ.update(self.environment)
        sys.path += [place for place in self.path if place not in sys.path]  # packages of the user's own are found, too
        look_in(self.folder)
        Singleton.set_state(self.singletons)
        setup_globals()
        with Sweep([], swept=self.swept).launching(), collect_lines() as lines:
            done = self._run(overrides, number)
        return JobResult(done, lines)

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit queues again when a job is preempted or out of time: the same, which goes on where it was."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)

    def death(self, overrides: Sequence[str], number: int, error: str) -> JobResult:
        """What is left of a job whose process died; `error` says how."""
        from experiments.run.job import after_death
        from experiments.terminal.lines import knobs

        done = replace(self, function=partial(after_death, error))._run(overrides, number)
        records = done.return_value if isinstance(done.return_value, list) else [done.return_value]
        failed = [record for record in records if record.error == error]
        given = values_of(overrides)
        told = {key: given[key] for key in self.swept if key in given}
        texts = [f"error: {error}: {knobs(record.config, told)}" for record in failed]
        answered = len(records) - len(failed)
        return JobResult(done, [Line(text, error=True, ended=n) for n, text in enumerate(texts, start=answered + 1)])

    def _run(self, overrides: Sequence[str], number: int) -> JobReturn:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with read_write(config), open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
            if config.threads is None:
                config.threads = self.threads
        return run_job(
            hydra_context=self.context,
            task_function=self.function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


def run_sent(task: bytes, overrides: Sequence[str], number: int) -> JobResult:
    """Run a job of a task that was pickled once for all of its jobs."""
    return _unpickled(task)(overrides, number)


@lru_cache(1)
def _unpickled(task: bytes) -> SweepJob:
    """The task, which a worker keeps from one job to the next, with what it has read and composed."""
    found: SweepJob = pickle.loads(task)  # noqa: S301  # from the process that started this one
    return found


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """End this process soon after that one, however that one ended."""
    if parent in _watched:
        return
    _watched.add(parent)
    import psutil

    def alive() -> bool:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            while alive():
                time.sleep(0.3)
        os._exit(1)

    try:
        process = psutil.Process(parent)
    except psutil.NoSuchProcess:
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
