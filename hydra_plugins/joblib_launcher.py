"""Jobs in processes of this machine, by joblib's loky."""

import re
import signal
from collections.abc import Collection, Sequence
from typing import Any

from hydra_plugins._parallel_launcher import DeadError, Handle, ParallelLauncher, at_once
from hydra_plugins._sweep_job import JobResult, SweepJob, run_sent
from intrinsic.checks import PROCESSES, THREADS, at_most, integer


class JoblibLauncher(ParallelLauncher):
    """Up to `n_jobs` processes, which serve one job after another, also those of later launches.

    Each is an executor of one worker: in an executor of several (joblib.Parallel, hydra-joblib-launcher) the death of
    one ends them all, and the jobs of all are lost.

    Args:
        n_jobs: at once; -1: as many as there are cores.
        threads: of each, for jobs whose config leaves them to torch.
    """

    def __init__(self, n_jobs: int, threads: int) -> None:
        self.n_jobs, self.threads = n_jobs, threads
        self._idle: list[Any] = []
        self._busy: dict[Handle, Any] = {}
        self._task: SweepJob | None = None
        self._sent = b""

    def check(self) -> None:
        """Refuse what is no count."""
        self.width = at_once("hydra.launcher.n_jobs", self.n_jobs, at_most(PROCESSES))
        integer("hydra.launcher.threads", self.threads, 1, at_most(THREADS))

    def submit(self, task: SweepJob, jobs: Sequence[tuple[Sequence[str], int]]) -> list[Handle]:
        """Give each job to an idle process, or to a new one."""
        handles: list[Handle] = []
        if task is not self._task:
            from joblib.externals.loky.backend.reduction import dumps

            self._task, self._sent = task, bytes(dumps(task))
        for job in jobs:
            worker = self._idle.pop() if self._idle else _hire()
            handles.append(worker.submit(run_sent, self._sent, *job))
            self._busy[handles[-1]] = worker
        return handles

    def wait(self, handles: Collection[Handle], seconds: float) -> Collection[Handle]:
        """Those that have ended."""
        from concurrent.futures import FIRST_COMPLETED, wait

        return wait(handles, seconds, FIRST_COMPLETED).done

    def result(self, handle: Any) -> JobResult:
        """The answer of a job."""
        from concurrent.futures.process import BrokenProcessPool

        worker = self._busy.pop(handle)
        try:
            ended: JobResult = handle.result()
        except BrokenProcessPool as error:
            raise DeadError(f"the worker died{_manner(str(error))}") from None
        self._idle.append(worker)
        return ended

    def stop(self, handles: Collection[Handle]) -> None:
        """End all processes."""
        for worker in [*self._busy.values(), *self._idle]:
            worker.shutdown(wait=False, kill_workers=True)
        self._busy, self._idle = {}, []


def _hire() -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(max_workers=1, initializer=_ignore_interrupts)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that launched them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _manner(message: str) -> str:
    """How a worker died, of loky's message that names its exit code, as SIGKILL(-9) or EXIT(1)."""
    found = re.search(r"\w+\((-?\d+)\)", message)
    if found is None:
        return ""
    code = int(found[1])
    return f" (signal {-code})" if code < 0 else f" (exit status {code})"
