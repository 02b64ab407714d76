"""Runs that differ in seeds and learning rate alone, from their setups to their records, at once."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from experiments.run.check_alike import check_alike
from experiments.run.check_seeds import check_seeds
from experiments.run.result import write_result
from experiments.run.setup import Setup
from experiments.terminal.progress import Progress
from intrinsic.checks import check_memory
from intrinsic.files.own_files import OwnFiles
from intrinsic.files.records import Record
from intrinsic.training.epoch import Epoch
from intrinsic.training.fit_replicas import fit_replicas
from intrinsic.training.start import start


def train_replicas(runs: Sequence[tuple[Setup, Path]]) -> Iterator[tuple[int, Record]]:
    """Train all `runs`, each a checked setup and its folder, from their start; yield (its number, record) as each ends.

    Each folder is left as `train` leaves it. A run's logger is told of its epochs when it ends.

    Raises:
        UserError: if the runs differ in more than seed, seeds and lr, or cannot be trained at once.
    """
    setups = [setup for setup, _ in runs]
    first, others = setups[0], setups[1:]
    for setup in others:
        check_alike(setup, first)
    device = first.device
    began, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    task = first.task
    files = OwnFiles.of(first.config, task.files).hashes
    check_memory(len(runs) * sum(each.nbytes for each in first.net.state_dict().values()), f"replicas={len(runs)}")
    for setup in others:
        setup.device, setup.task = device, task
    for setup in setups:
        check_seeds(setup)
    beginnings = [start(setup.net, task) for setup in setups]
    epochs = fit_replicas(
        [setup.net for setup in setups],
        task,
        first.make_optimizer,
        lrs=[setup.lr for setup in setups],
        seeds=[setup.training_seeds["seed"] for setup in setups],
        **first.numbers,
        factors=first.rate_factors,
        schedule=first.schedule.make,
        interval=first.schedule.interval,
    )
    with first.open_logger(runs[0][1]):
        pass  # what it refuses is better known before the work than after it
    histories: list[list[Epoch]] = [[] for _ in runs]
    with Progress(first.epochs, task.metric) as progress:
        for index, epoch, last in epochs:
            histories[index].append(epoch)
            progress.show(epoch)
            if not last:
                continue
            setup, folder = runs[index]
            with setup.open_logger(folder) as log:
                for past in histories[index]:
                    log(past)
            seconds = time.perf_counter() - began
            result = (setup.given, folder, setup.net, task, histories[index], device, beginnings[index])
            yield index, write_result(*result, started=started, files=files, seconds=seconds, replicas=len(runs))
