"""A run that ended, as it was: its model at theta_0, and as trained."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.config.check_config import Config
from experiments.finished.finished import finished
from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.files.own_files import OwnFiles
from intrinsic.files.records import Record
from intrinsic.subspace import Subspace
from intrinsic.subspace.checkpoint import load
from intrinsic.subspace.reparametrisation import without_reparametrisation
from intrinsic.tasks.task import Task


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: its record, what it was made of, and its net twice."""

    record: Record
    setup: Setup
    start: Subspace  # z = 0: the model's function is that of theta_0
    net: Subspace  # as trained

    @property
    def task(self) -> Task:
        """The run's task, on its device."""
        return self.setup.task

    @property
    def device(self) -> torch.device:
        """The device to measure on."""
        return self.setup.device

    def plain(self) -> tuple[nn.Module, nn.Module]:
        """The model at theta_0 and as trained, both in the original architecture with ordinary weights."""
        return self.start.eval().merge(), self.net.eval().merge()


def reopen(folder: Path, device: str = "cpu") -> TrainedRun:
    """Rebuild the run in `folder` from its record's config and its trained.safetensors.

    What a record says of places is another machine's: models of source tasks are kept in the folder of the study's
    outputs, and data are read from the record's folder only where it is there, else as without one.

    Raises:
        UserError: if the run has not finished, its config is damaged, its base is quantised, its data or its file is
            gone, its data are others now, or it is a run of episodes.
    """
    record = finished(folder)
    if record is None:
        raise UserError(f"{folder} is not a finished run; the command that started it finishes it")
    config = _here(record.config, folder, device)
    if config["base"] != "float32":
        raise UserError(f"{folder} has base={config['base']}, whose weights are not there any more: need base=float32")
    OwnFiles(record.files or {}).check(config, folder, "put it back to measure the run")
    setup = Setup(config)
    if setup.task.environment is not None:
        raise UserError(f"{folder} is of episodes, which have no loss and no examples to measure on")
    setup.net = start = without_reparametrisation(setup.net)
    net = copy.deepcopy(start)
    load(net, folder / "trained.safetensors")
    return TrainedRun(record, setup, start, net)


def _here(config: dict[str, Any], folder: Path, device: str) -> Config:
    """The config with this machine's places in the stead of those in its record."""
    given = config.get("data_dir")
    data_dir = given if isinstance(given, str) and Path(given).expanduser().is_dir() else None
    output = Path(os.path.abspath(folder)).parent.parent
    here = Config({**config, "device": device, "output": str(output), "data_dir": data_dir, "logger": {}})
    source = here["init"]["source"]
    for dataset in (here["dataset"], source.get("dataset") if isinstance(source, dict) else None):
        if isinstance(dataset, dict) and "data_dir" in dataset:
            dataset["data_dir"] = data_dir
    return here
