"""Jobs through submitit: on Slurm, or as processes of this machine that stand in for it."""

import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra_plugins._parallel_launcher import DeadError, Handle, ParallelLauncher, at_once, need
from hydra_plugins._sweep_job import JobResult, SweepJob
from intrinsic.checks import PROCESSES, THREADS, at_most, integer
from intrinsic.errors import UserError

SECONDS_BETWEEN_LOOKS = {"local": 0.1, "slurm": 2.0}  # at files; submitit asks Slurm itself once a minute
ROOT = Path(__file__).parent.parent  # of the program, which is used from where it lies
REFUSALS = (NameError, TypeError, ValueError, RuntimeError, AssertionError)  # how submitit refuses a parameter


class SubmititLauncher(ParallelLauncher):
    """Each job is one of Slurm, those of a launch one array; or a process of this machine.

    A job that is preempted or out of time is queued again, and goes on from its checkpoint. What is sent and answered
    lies as pickles in `folder`, beside the logs, written and read by this program's own processes. The machines of a
    cluster must see the same folders, the program's and its environment's among them.

    Args:
        cluster: "slurm" or "local".
        width: jobs at once; -1: as many as this machine has cores.
        folder: %j in it is the job's number.
        parameters: what submitit's executor takes (timeout_min, slurm_partition ...); null: its default.
    """

    def __init__(self, cluster: str, width: int, folder: str, parameters: Mapping[str, Any]) -> None:
        self.cluster, self.width, self.folder = cluster, width, folder
        self.parameters = {name: value for name, value in parameters.items() if value is not None}
        self.threads = self.parameters.get("cpus_per_task", 1)
        self.ours = cluster == "local"

    def check(self) -> None:
        """Refuse what submitit would refuse later, or what is not there."""
        if self.cluster not in SECONDS_BETWEEN_LOOKS:
            raise UserError(f"need hydra.launcher.cluster to be slurm or local, got cluster={self.cluster}")
        processes, threads = (at_most(PROCESSES), at_most(THREADS)) if self.ours else (None, None)
        self.width = at_once("hydra.launcher.width", self.width, processes)
        integer("hydra.launcher.parameters.cpus_per_task", self.threads, 1, threads)
        need("submitit", extra="slurm")
        self._executor = self.executor()

    @property
    def room(self) -> int:
        """How many jobs may be under way; Slurm has a queue of its own."""
        return self.width if self.ours else sys.maxsize

    def executor(self) -> Any:
        """Submitit's, with all parameters.

        Raises:
            UserError: if submitit refuses one, or finds no Slurm.
        """
        from omegaconf import OmegaConf
        from submitit import AutoExecutor

        parameters: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(self.parameters))  # type: ignore[assignment]
        if not self.ours:
            parameters["slurm_array_parallelism"] = self.width
        try:
            executor = AutoExecutor(Path(self.folder).absolute(), cluster=self.cluster)
            executor.update_parameters(**parameters)
        except REFUSALS as error:
            line = " ".join(str(error).split())
            raise UserError(f"submitit refuses {self.cluster} with hydra.launcher.parameters: {line}") from None
        return executor

    def submit(self, task: SweepJob, jobs: Sequence[tuple[Sequence[str], int]]) -> list[Handle]:
        """Queue the jobs."""
        with _on_path(ROOT):
            return list(self._executor.map_array(task, *zip(*jobs, strict=True))) if jobs else []

    def wait(self, handles: Collection[Handle], seconds: float) -> Collection[Handle]:
        """Those that have ended."""
        until = time.monotonic() + seconds
        while not (ended := [job for job in handles if job.done()]) and time.monotonic() < until:
            time.sleep(SECONDS_BETWEEN_LOOKS[self.cluster])
        return ended

    def result(self, handle: Any) -> JobResult:
        """The answer of a job, which it left in a file."""
        from submitit.core.utils import UncompletedJobError

        try:
            if self.ours and not handle.paths.result_pickle.exists():  # submitit would wait for a slow file system
                raise UncompletedJobError
            ended: JobResult = handle.result()
        except UncompletedJobError:
            state = "" if self.ours else f" ({handle.state.lower()})"
            raise DeadError(f"the job died{state}, see {handle.paths.stderr}") from None
        return ended

    def stop(self, handles: Collection[Handle]) -> None:
        """Cancel the jobs that are queued or under way."""
        for job in handles:
            job.cancel(check=False)


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let processes that are started meanwhile find what lies in the folder, as joblib and Ray do by themselves."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
