"""The setup of a run from its config: device, net, schedule."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from experiments.config.build import COMPLAINTS, build
from experiments.config.check_config import check_config
from experiments.config.check_sizes import check_sizes
from experiments.run.environment import choose_device, set_threads
from experiments.run.model import make_model
from experiments.run.pretrain import pretrained
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.layers.int8 import quantize
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Task
from intrinsic.training.fit import check_numbers


def check(config: dict[str, Any]) -> None:
    """Refuse what would only be noticed after long work.

    Raises:
        UserError: for a number that is out of range, what an optimiser or a schedule refuses, and a knob of another
            kind, and a size that is not the knob of its name.
    """
    check_numbers(**{key: config[key] for key in ("epochs", "batch_size", "l2_weights", "patience")})
    rng.fan_out(config["seed"])
    make_schedule(config)
    if config["base"] not in ("float32", "int8"):
        raise UserError(f"need base=float32 or int8, got base={config['base']}")
    check_config(config)
    check_sizes(config)


def prepare(config: dict[str, Any]) -> torch.device:
    """The device to train on, ready to be measured."""
    device = choose_device(config["device"])
    set_threads(config["threads"])
    # weights of pixels that are always black decay to numbers below 1e-38, on which a CPU is ten times slower
    torch.set_flush_denormal(True)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return device


def make_net(config: dict[str, Any], task: Task, device: torch.device) -> Subspace:
    """The model at its theta_0, inside the subspace of the method."""
    model = make_model(config, task, config["seed"])
    seed = rng.fan_out(config["seed"], "subspace")
    space, projection = build(config["space"], "space"), build(config["projection"], "projection")
    if "granularity" in config and "granularity" not in config["subspace"]:
        raise UserError("granularity does nothing with projection=identity: use another projection")
    node = {"_target_": "intrinsic.subspace.Subspace", "_partial_": True}
    wrap = build({**node, **config["subspace"]}, "subspace")
    if config["init"]["source"] == "zero":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
    elif config["init"]["source"] == "hub":
        if "tokenizer" not in config:
            raise UserError(
                f"init=hub needs a model with weights of its own, got {config['model']['_target_']}: "
                "use model=minilm, or init=scratch"
            )
    elif config["init"]["source"] is not None:
        model.load_state_dict(pretrained(config, task))
    if config["base"] == "int8":
        quantize(model)
    net: Subspace = wrap(model.to(device), space=space, projection=projection, head=config["head"], seed=seed)
    return net


def make_schedule(config: dict[str, Any]) -> Callable[[Optimizer], LRScheduler] | None:
    """What makes the scheduler of an optimiser, None for a constant learning rate.

    Raises:
        UserError: if the optimiser or the schedule refuses its arguments, some of which torch looks at only in a step:
            one is taken here, with an optimiser of nothing.
    """
    optimizer: Optimizer = build(config["optim"], "optim")([torch.zeros(1, requires_grad=True)])
    if not config["schedule"]:
        return None
    schedule: Callable[[Optimizer], LRScheduler] = build(config["schedule"], "schedule")
    scheduler = schedule(optimizer)
    optimizer.step()
    try:
        scheduler.step()
    except COMPLAINTS as error:
        given = {key: value for key, value in config["schedule"].items() if not key.startswith("_")}
        raise UserError(f"{config['schedule']['_target_']} cannot take a step with {given}: {error}") from None
    return schedule
