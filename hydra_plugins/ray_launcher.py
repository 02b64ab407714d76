"""Jobs on the machines of a Ray cluster."""

import logging
import os
import sys
from collections.abc import Collection, Sequence
from typing import Any

from hydra_plugins._parallel_launcher import DeadError, Handle, ParallelLauncher, need
from hydra_plugins._sweep_job import JobResult, SweepJob
from intrinsic.checks import integer, number
from intrinsic.errors import UserError

ATTEMPTS = 4  # to start a cluster: Ray gives its processes 30 seconds, too few on a machine that is busy


class RayLauncher(ParallelLauncher):
    """Each job is a task of Ray. One whose process or machine dies begins again elsewhere, from its checkpoint.

    The machines must see the same folders, the program's and its environment's among them.

    Args:
        address: of the cluster; null: $RAY_ADDRESS, else a cluster started on this machine, else a new one of it alone;
            "local": that one.
        cpus: of a job, which are its threads too unless its config says how many.
        gpus: of a job; a fraction shares one.
        retries: how often a job begins again after a death.
    """

    ours = False  # Ray ends the jobs of a driver that is gone

    def __init__(self, address: str | None, cpus: int, gpus: float, retries: int) -> None:
        self.address, self.cpus, self.gpus, self.retries = address, cpus, gpus, retries
        self.threads = cpus

    def check(self) -> None:
        """Refuse what is no count, or what is not there."""
        integer("hydra.launcher.cpus", self.cpus, 1)
        integer("hydra.launcher.retries", self.retries, 0)
        if number("hydra.launcher.gpus", self.gpus) < 0:
            raise UserError(f"need hydra.launcher.gpus >= 0, got hydra.launcher.gpus={self.gpus}")
        need("ray", extra="ray")

    @property
    def width(self) -> int:  # type: ignore[override]
        """How many jobs fit into the cluster as it is now.

        Raises:
            UserError: if there is no room for any.
        """
        ray = self._connect()
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitting = sum(min(int(node.get(key, 0) / n) for key, n in wanted.items() if n) for node in nodes)
        if not fitting:
            raise UserError(f"need a machine in the Ray cluster with cpus={self.cpus} gpus={self.gpus}: there is none")
        return fitting

    @property
    def room(self) -> int:
        """How many jobs may be under way; Ray has a queue of its own."""
        return sys.maxsize

    def _connect(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        for attempt in range(ATTEMPTS):
            if ray.is_initialized():
                break
            try:
                ray.init(self.address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as error:  # a plain one where a new cluster is late
                ray.shutdown()
                if isinstance(error, ConnectionError | ValueError) or attempt + 1 == ATTEMPTS:
                    line = " ".join(str(error).split())
                    raise UserError(f"no Ray cluster at hydra.launcher.address={self.address}: {line}") from None
        return ray

    def submit(self, task: SweepJob, jobs: Sequence[tuple[Sequence[str], int]]) -> list[Handle]:
        """Queue the jobs."""
        if not jobs or not self.width:
            return []
        ray = self._connect()
        call = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)(_call)
        shared = ray.put(task)
        return [call.remote(shared, *job) for job in jobs]

    def wait(self, handles: Collection[Handle], seconds: float) -> Collection[Handle]:
        """Those that have ended."""
        import ray

        return ray.wait(list(handles), timeout=seconds)[0]

    def result(self, handle: Any) -> JobResult:
        """The answer of a job."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            ended: JobResult = ray.get(handle)
        except RayTaskError:
            raise
        except RayError as error:
            raise DeadError(f"the worker died ({type(error).__name__}, {self.retries} retries)") from None
        return ended

    def stop(self, handles: Collection[Handle]) -> None:
        """End the jobs."""
        import ray

        for handle in handles:
            ray.cancel(handle, force=True)


def _call(task: SweepJob, overrides: Sequence[str], number: int) -> JobResult:
    return task(overrides, number)
