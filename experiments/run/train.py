"""One run from its resolved config to its record."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.run.check_seeds import check_seeds
from experiments.run.result import write_result
from experiments.run.setup import Setup
from experiments.run.state import RunState
from experiments.terminal.progress import Progress
from intrinsic.files.own_files import OwnFiles
from intrinsic.files.records import Record
from intrinsic.terminal.say import say
from intrinsic.training.fit import fit
from intrinsic.training.start import start


def train(config: dict[str, Any], folder: Path) -> Record:
    """Train what `config` says, from the last checkpoint in `folder` if there is one; return the written record.

    Leaves `folder`/record.json and `folder`/trained.safetensors (what `intrinsic.load` reads).
    """
    setup = Setup(config)
    setup.check()
    task = setup.task
    files = OwnFiles.of(config, task.files).hashes  # now: they may change while it trains
    net, optimizer = setup.net, setup.optimizer
    state = RunState(folder / "state.safetensors", net, optimizer, config["checkpoint_seconds"], files)
    check_seeds(setup)
    beginning = start(net, task)
    _tell_of_solved(beginning)
    epochs = fit(
        net,
        task,
        optimizer,
        **setup.numbers,
        **setup.training_seeds,
        schedule=setup.schedule.make,
        interval=setup.schedule.interval,
        history=state.load(),
    )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with setup.open_logger(folder) as log, Progress(setup.epochs, task.metric) as progress:
        for epoch in epochs:
            log(epoch)
            progress.show(epoch)
            state.add(epoch)
    return write_result(
        config, folder, net, task, state.history, setup.device, beginning,
        started=started, files=files, seconds=state.seconds(),
    )  # fmt: skip


def _tell_of_solved(beginning: dict[str, Any]) -> None:
    """Say that theta_0 answers every prompt right, where it does: nothing is left to learn, and no reward differs."""
    if all(beginning[split].get("exact_match") == 1 for split in ("train", "validation")):
        say("note: theta_0 answers every prompt right, nothing is left to learn: the floor of a d90 is 1", sys.stderr)
