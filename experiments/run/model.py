"""A model for a task, from a config."""

from typing import Any

import torch
from torch import nn

from experiments.config.build import build
from intrinsic import rng
from intrinsic.tasks.task import Task


def make_model(config: dict[str, Any], task: Task, seed: int) -> nn.Module:
    """The model for a task, at random weights from `seed`; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.fan_out(seed, "init"))
        model: nn.Module = build(config["model"], "model")(task.input_shape, task.num_outputs)
    return model
