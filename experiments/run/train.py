"""One run from its resolved config to its record."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.config.build import build
from experiments.run.result import write_result
from experiments.run.setup import check, make_net, make_schedule, prepare
from experiments.run.state import RunState
from experiments.run.task import make_task
from experiments.terminal.progress import Progress
from intrinsic import rng
from intrinsic.files.records import Record
from intrinsic.training.epoch import Epoch
from intrinsic.training.fit import fit


def train(config: dict[str, Any], folder: Path) -> Record:
    """Train what `config` says, from the last checkpoint in `folder` if there is one; return the written record.

    Leaves `folder`/record.json and `folder`/trained.safetensors (what `intrinsic.load` reads).
    """
    check(config)
    device = prepare(config)
    task = make_task(config)
    net = make_net(config, task, device)
    optimizer = build(config["optim"], "optim")(net.parameters())
    state = RunState(folder / "state.safetensors", net, optimizer, config["checkpoint_seconds"])
    epochs = fit(
        net,
        task.to(device),
        optimizer,
        epochs=config["epochs"],
        batch_size=config["batch_size"],
        seed=rng.fan_out(config["seed"], "training"),
        schedule=make_schedule(config),
        l2_weights=config["l2_weights"],
        patience=config["patience"],
        history=state.load(),
    )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with open_logger(config, folder) as log, Progress(config["epochs"], task.metric) as progress:
        for epoch in epochs:
            log(epoch)
            progress.show(epoch)
            state.add(epoch)
    return write_result(config, folder, net, task, state.history, device, started=started, seconds=state.seconds())


@contextlib.contextmanager
def open_logger(config: dict[str, Any], folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """What tells the config's logger of an epoch."""
    if not config["logger"]:
        yield lambda epoch: None
        return
    with build(config["logger"], "logger")(config=config, folder=folder) as logger:
        yield logger.log
