"""The base of launchers that run several jobs of a sweep at once."""

import os
import signal
import sys
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from experiments.terminal.sweep import runs_before, show
from hydra_plugins._sweep_job import JobResult, SweepJob
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.missing_package import missing_package
from intrinsic.terminal.say import say

PATIENCE = 1.0  # seconds to wait for a job to end, before looking whether there is something to say
SILENCE = 60.0  # seconds without a line after which there is

Handle = Any  # what a launcher knows a job by that is under way


def at_once(name: str, value: Any, most: int | None = None) -> int:
    """Return how many jobs run at once; -1 is as many as there are cores.

    Raises:
        UserError: for what is no integer from 1 to `most`.
    """
    if type(value) is int and value == -1:
        from joblib import cpu_count

        return int(cpu_count())
    try:
        return integer(name, value, 1, most)
    except UserError as error:
        raise UserError(f"{error}: use -1 for all cores") from None


def need(package: str, *, extra: str) -> None:
    """Refuse to go on without an optional package; raise UserError."""
    if find_spec(package) is None:
        raise missing_package(package, extra)


class DeadError(Exception):
    """The process of a job died without an answer; the message says how."""


class ParallelLauncher(Launcher):
    """Keeps up to `room` jobs under way, prints their lines as they end, and returns Hydra's results in order.

    A job whose process dies has a result too: of each of its runs the record, where there is one, else a failure. The
    sweep goes on. A signal that ends the sweep ends its jobs; what they have written stays.
    """

    width: int  # how many jobs run at once
    threads: int  # of the CPU, for jobs whose config leaves them to torch
    ours = True  # jobs are processes of this machine, which end with this one

    @property
    def room(self) -> int:
        """How many jobs may be under way; more than `width` wait elsewhere."""
        return self.width

    @abstractmethod
    def check(self) -> None:
        """Refuse what cannot work, before anything is started; raise UserError."""

    @abstractmethod
    def submit(self, task: SweepJob, jobs: Sequence[tuple[Sequence[str], int]]) -> Sequence[Handle]:
        """Let `task(overrides, number)` begin for each of the `jobs`."""

    @abstractmethod
    def wait(self, handles: Collection[Handle], seconds: float) -> Collection[Handle]:
        """Those that have ended, as soon as there is one or the time is over."""

    @abstractmethod
    def result(self, handle: Handle) -> JobResult:
        """The answer of a job that has ended; raise DeadError if it left none."""

    @abstractmethod
    def stop(self, handles: Collection[Handle]) -> None:
        """End the jobs that are under way."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Note what Hydra runs jobs with."""
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function
        self.check()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs, which are numbered from `initial_job_idx`; return their results in the order of the jobs."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        parent = os.getpid() if self.ours else None
        task = SweepJob(self.hydra_context, self.task_function, self.config, self.threads, parent)
        jobs = [(list(overrides), number) for number, overrides in enumerate(job_overrides, start=initial_job_idx)]
        waiting = deque(jobs)
        running: dict[Handle, tuple[list[str], int]] = {}
        results: dict[int, JobReturn] = {}
        report = _Report(runs_before(initial_job_idx))
        with _terminable():
            try:
                while waiting or running:
                    some = [waiting.popleft() for _ in range(min(len(waiting), self.room - len(running)))]
                    running.update(zip(self.submit(task, some), some, strict=True))
                    for handle in self.wait(running, PATIENCE):
                        job = running.pop(handle)
                        try:
                            ended = self.result(handle)
                        except DeadError as death:
                            ended = task.death(*job, str(death))
                        results[job[1]] = ended.done
                        report.tell(ended)
                    report.remind(len(results), len(jobs), len(running))
            except BaseException:
                self.stop(running)
                raise
        return [results[number] for _, number in jobs]


class _Report:
    """Prints the lines of jobs that ended, with each run's place in the order in which runs end."""

    def __init__(self, before: int) -> None:
        self._before, self._said = before, time.monotonic()

    def tell(self, ended: JobResult) -> None:
        for line in ended.lines:
            show(line, self._before)
        self._before += ended.runs
        self._said = time.monotonic()

    def remind(self, ended: int, jobs: int, running: int) -> None:
        if time.monotonic() - self._said > SILENCE:
            say(f"{ended} of {jobs} jobs ended, {running} under way", sys.stderr)
            self._said = time.monotonic()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end this process as an exception does, so that jobs are ended too."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: Any) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def width(launcher: Launcher) -> int:
    """How many jobs the launcher runs at once: a sweeper that awaits results does best with batches of so many.

    1 for Hydra's basic launcher, and for launchers that are not this project's. A job is one run, or several where
    `replicas` lets them be one.
    """
    return launcher.width if isinstance(launcher, ParallelLauncher) else 1
