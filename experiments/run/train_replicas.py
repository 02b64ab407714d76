"""Runs that differ in seed and learning rate alone, from their configs to their records, at once."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from experiments.config.build import build
from experiments.run.result import write_result
from experiments.run.setup import make_net, make_schedule, prepare
from experiments.run.task import make_task
from experiments.run.train import open_logger
from experiments.terminal.progress import Progress
from intrinsic import rng
from intrinsic.checks import check_memory
from intrinsic.errors import UserError
from intrinsic.files.records import Record
from intrinsic.training.epoch import Epoch
from intrinsic.training.fit_replicas import fit_replicas


def train_replicas(runs: Sequence[tuple[dict[str, Any], Path]]) -> Iterator[tuple[int, Record]]:
    """Train all `runs`, each a config and its folder, from their start; yield (number of the run, record) as each ends.

    Each folder is left as `train` leaves it. A run's logger is told of its epochs when it ends.

    Raises:
        UserError: if the configs differ in more than seed and lr, or cannot be trained at once.
    """
    configs = [config for config, _ in runs]
    first = configs[0]
    _check_alike(configs)
    device = prepare(first)
    began, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    task = make_task(first)
    nets = [make_net(first, task, device)]
    check_memory(len(runs) * sum(each.nbytes for each in nets[0].state_dict().values()), f"replicas={len(runs)}")
    nets += [make_net(config, task, device) for config in configs[1:]]
    epochs = fit_replicas(
        nets,
        task.to(device),
        build(first["optim"], "optim"),
        lrs=[_learning_rate(config) for config in configs],
        seeds=[rng.fan_out(config["seed"], "training") for config in configs],
        epochs=first["epochs"],
        batch_size=first["batch_size"],
        schedule=make_schedule(first),
        l2_weights=first["l2_weights"],
        patience=first["patience"],
    )
    with open_logger(*runs[0]):
        pass  # what it refuses is better known before the work than after it
    histories: list[list[Epoch]] = [[] for _ in runs]
    with Progress(first["epochs"], task.metric) as progress:
        for index, epoch, last in epochs:
            histories[index].append(epoch)
            progress.show(epoch)
            if not last:
                continue
            with open_logger(*runs[index]) as log:
                for past in histories[index]:
                    log(past)
            seconds = time.perf_counter() - began
            result = (*runs[index], nets[index], task, histories[index], device)
            yield index, write_result(*result, started=started, seconds=seconds, replicas=len(runs))


def _check_alike(configs: Sequence[dict[str, Any]]) -> None:
    """Compare the configs: their optimisers are built from the first one, and so is what they share."""
    shared = [{key: value for key, value in config.items() if key not in ("seed", "lr", "optim")} for config in configs]
    for config, others in zip(configs, shared, strict=True):
        others["optim"] = {key: value for key, value in config["optim"].items() if key != "lr"}
        differing = [key for key in others if others[key] != shared[0][key]]
        if differing:
            raise UserError(f"replicas may differ in seed and lr alone, these do in {differing[0]}: use replicas=1")


def _learning_rate(config: dict[str, Any]) -> float:
    optimizer: Optimizer = build(config["optim"], "optim")([torch.zeros(1, requires_grad=True)])
    rate: float = optimizer.param_groups[0]["lr"]
    return rate
