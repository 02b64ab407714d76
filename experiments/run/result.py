"""The result of a run: what it leaves in its folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from experiments.run.environment import environment, peak_memory_bytes
from intrinsic.files.records import OUTPUT, Record, write_record
from intrinsic.subspace import Subspace
from intrinsic.subspace.checkpoint import write_net
from intrinsic.tasks.task import Task
from intrinsic.training.epoch import Epoch


def write_result(
    config: dict[str, Any],
    folder: Path,
    net: Subspace,
    task: Task,
    history: Sequence[Epoch],
    device: torch.device,
    beginning: dict[str, Any],
    *,
    started: str,
    files: dict[str, str | None],
    seconds: float,
    replicas: int = 1,
) -> Record:
    """Write `folder`/trained.safetensors and then `folder`/record.json, which is returned.

    `beginning` is epoch 0, see `intrinsic.training.start`.
    `files`: hashes of the user's own, see `OwnFiles`, as they were when they were read.
    `seconds` were spent on this run and those that were trained with it, `replicas` in all; so was the peak memory.
    """
    write_net(net, folder / "trained.safetensors", remedy=OUTPUT)
    record = Record(
        run_id=folder.name,
        study=config["study"],
        status="diverged" if history[-1].diverged else "finished",
        method=config["method"],
        metric=task.metric,
        **_scores(history, beginning),
        numbers={
            **net.count(),
            "stored_bytes": (folder / "trained.safetensors").stat().st_size,
            **_steps_before(config),
            **_largest_rank(net),
        },
        seconds=seconds,
        replicas=replicas,
        peak_memory_bytes=peak_memory_bytes(device),
        fingerprint=net.fingerprint(),
        started_at=started,
        files=files or None,
        environment=environment(device),
        config=config,
    ).finite()
    write_record(folder, record)
    (folder / "state.safetensors").unlink(missing_ok=True)
    return record


def _steps_before(config: dict[str, Any]) -> dict[str, int]:
    """The steps of full training on the run's own task that theta_0 has behind it, where init=burnin counts them."""
    source = config["init"]["source"]
    return {"init_steps": source["steps"]} if isinstance(source, dict) and "steps" in source else {}


def _largest_rank(net: Subspace) -> dict[str, int]:
    """The largest rank of a space that has one: where a search for it ends."""
    most = net.space.largest_rank(net.model)
    return {} if most is None else {"largest_rank": most}


def _scores(history: Sequence[Epoch], beginning: dict[str, Any]) -> dict[str, Any]:
    """The last epoch, the best one on validation data, and the course of training."""
    best = [epoch for epoch in history if epoch.best] or list(history)
    return {
        "last": history[-1].to_dict(),
        "best": best[-1].to_dict(),
        "history": [
            beginning,
            *({"epoch": e.epoch, "train_loss": e.train_loss, "validation": e.validation} for e in history),
        ],
    }
