"""One run from its resolved config to its record."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from experiments.build import COMPLAINTS, build
from experiments.environment import choose_device, environment, peak_memory_bytes, set_threads
from experiments.model import make_model
from experiments.pretrain import pretrained
from experiments.progress import Progress
from experiments.state import RunState
from intrinsic import rng
from intrinsic.checkpoint import save
from intrinsic.data.task import Task
from intrinsic.errors import UserError
from intrinsic.records import plain_numbers, write_record
from intrinsic.subspace import Subspace
from intrinsic.training import Epoch, check_numbers, fit


def train(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train what `config` says, from the last checkpoint in `folder` if there is one; return the written record.

    Leaves `folder`/record.json and `folder`/trained.safetensors (what `intrinsic.load` reads).
    """
    device = choose_device(config["device"])
    set_threads(config["threads"])
    check_numbers(**{key: config[key] for key in ("epochs", "batch_size", "l2_weights", "patience")})
    schedule = make_schedule(config)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    task: Task = build(config["dataset"])
    net = make_net(config, task, device)
    optimizer = build(config["optim"])(net.parameters())
    state = RunState(folder / "state.safetensors", net, optimizer, config["checkpoint_seconds"])
    epochs = fit(
        net,
        task.to(device),
        optimizer,
        epochs=config["epochs"],
        batch_size=config["batch_size"],
        seed=rng.fan_out(config["seed"], "training"),
        schedule=schedule,
        l2_weights=config["l2_weights"],
        patience=config["patience"],
        history=state.load(),
    )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with _logger(config, folder) as log, Progress(config["epochs"], task.metric) as progress:
        for epoch in epochs:
            log(epoch)
            progress.show(epoch)
            state.add(epoch)
    save(net, folder / "trained.safetensors")
    record = {
        "run_id": folder.name,
        "study": config["study"],
        "status": "diverged" if state.history[-1].diverged else "finished",
        "method": config["method"],
        "metric": task.metric,
        **_scores(state.history),
        "numbers": {**net.count(), "stored_bytes": (folder / "trained.safetensors").stat().st_size},
        "seconds": state.seconds(),
        "peak_memory_bytes": peak_memory_bytes(device),
        "fingerprint": net.fingerprint(),
        "error": None,
        "started_at": started,
        "environment": environment(device),
        "config": config,
    }
    record = plain_numbers(record)
    write_record(folder, record)
    state.path.unlink(missing_ok=True)
    return record


def make_net(config: dict[str, Any], task: Task, device: torch.device) -> Subspace:
    """The model at its theta_0, inside the subspace of the method."""
    model = make_model(config, task, config["seed"])
    seed = rng.fan_out(config["seed"], "subspace")
    space, projection = build(config["space"]), build(config["projection"])
    if "granularity" in config and "granularity" not in config["subspace"]:
        raise UserError("granularity does nothing with projection=identity: take another projection")
    wrap = build({**config["subspace"], "_target_": "intrinsic.subspace.Subspace", "_partial_": True})
    if config["init"]["source"] is not None:
        model.load_state_dict(pretrained(config, task))
    net: Subspace = wrap(model.to(device), space=space, projection=projection, head=config["head"], seed=seed)
    return net


def make_schedule(config: dict[str, Any]) -> Callable[[Optimizer], LRScheduler] | None:
    """What makes the scheduler of an optimiser, None for a constant learning rate.

    Raises:
        UserError: if the optimiser or the schedule refuses its arguments, some of which torch looks at only in a step:
            one is taken here, with an optimiser of nothing.
    """
    optimizer: Optimizer = build(config["optim"])([torch.zeros(1, requires_grad=True)])
    if not config["schedule"]:
        return None
    schedule: Callable[[Optimizer], LRScheduler] = build(config["schedule"])
    scheduler = schedule(optimizer)
    optimizer.step()
    try:
        scheduler.step()
    except COMPLAINTS as error:
        given = {key: value for key, value in config["schedule"].items() if not key.startswith("_")}
        raise UserError(f"{config['schedule']['_target_']} cannot take a step with {given}: {error}") from None
    return schedule


def _scores(history: list[Epoch]) -> dict[str, Any]:
    """The last epoch, the best one on validation data, and the course of training."""
    best = [epoch for epoch in history if epoch.best] or history
    return {
        "last": history[-1].to_dict(),
        "best": best[-1].to_dict(),
        "history": [{"epoch": e.epoch, "train_loss": e.train_loss, "validation": e.validation} for e in history],
    }


@contextlib.contextmanager
def _logger(config: dict[str, Any], folder: Path) -> Iterator[Any]:
    if not config["logger"]:
        yield lambda epoch: None
        return
    with build(config["logger"])(config=config, folder=folder) as logger:
        yield logger.log
