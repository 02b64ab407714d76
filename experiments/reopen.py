"""A run that ended, as it was: its model at theta_0, and as trained."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.task import make_task
from experiments.train import make_net, prepare
from intrinsic.checkpoint import load
from intrinsic.data.task import Task
from intrinsic.errors import UserError
from intrinsic.records import read_record
from intrinsic.settled import settled
from intrinsic.subspace import Subspace


@dataclass(frozen=True)
class Reopened:
    """A finished run: its record, its task, and its net twice."""

    record: dict[str, Any]
    task: Task  # on `device`
    start: Subspace  # z = 0: the model's function is that of theta_0
    net: Subspace  # as trained
    device: torch.device

    @property
    def config(self) -> dict[str, Any]:
        """The run's resolved config."""
        config: dict[str, Any] = self.record["config"]
        return config

    def plain(self) -> tuple[nn.Module, nn.Module]:
        """The model at theta_0 and as trained, both in the original architecture with ordinary weights."""
        return self.start.eval().merge(), self.net.eval().merge()


def reopen(folder: Path, device: str = "cpu") -> Reopened:
    """Rebuild the run in `folder` from its record's config and its trained.safetensors.

    Raises:
        UserError: if the run has not finished, its base is quantised, or its data or its file is gone.
    """
    record = read_record(folder)
    if record is None or record["status"] != "finished":
        raise UserError(f"{folder} is no finished run; the command that began it ends it")
    config = {**record["config"], "device": device}
    if config["base"] != "float32":
        raise UserError(f"{folder} has base={config['base']}, whose weights are not there any more: need base=float32")
    chosen = prepare(config)
    task = make_task(config)
    start = settled(make_net(config, task, chosen))
    net = copy.deepcopy(start)
    load(net, folder / "trained.safetensors")
    return Reopened(record, task.to(chosen), start, net, chosen)
