"""theta_0 from a source task: trained once, kept under the hash of its config."""

import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from experiments.config.build import build
from experiments.run.environment import choose_device
from experiments.run.model import make_model
from experiments.terminal.progress import Progress
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.files.lock import locked
from intrinsic.files.records import OUTPUT, run_id
from intrinsic.files.tensors import read_tensors, write_tensors
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Task
from intrinsic.terminal.say import say
from intrinsic.training.fit import fit

SOURCE = {"dataset", "epochs", "batch_size", "optim", "seed"}  # what a source task is described by


def pretrained(config: dict[str, Any], task: Task) -> dict[str, Tensor]:
    """The state dict of the run's model after full training on `config["init"]["source"]`.

    Raises:
        UserError: if the source changes a knob that the run's dataset does not have, or its task has another shape.
    """
    source = config["init"]["source"]
    if not isinstance(source, dict) or not isinstance(source["dataset"], dict):
        raise UserError(f"need init.source as keys, with keys of a dataset among them, got init.source={source}")
    unknown = (config["init"].keys() - {"source"}) | (source.keys() - SOURCE)
    if unknown:
        raise UserError(f"init.source has no key {min(unknown)}: need {', '.join(sorted(SOURCE))}")
    foreign = source["dataset"].keys() - config["dataset"].keys()
    if foreign:
        raise UserError(
            f"init=pretrained needs a dataset with the knob {min(foreign)}, which "
            f"{config['dataset']['_target_']} does not have: use init=scratch"
        )
    recipe = {**source, "dataset": {**config["dataset"], **source["dataset"]}, "model": config["model"]}
    path = Path(config["output"]) / ".pretrained" / f"{run_id(recipe)}.safetensors"
    if not path.is_file():
        with locked(path.with_suffix(".lock"), purpose="pretrains the same model", setting="output"):
            if not path.is_file():
                _pretrain(recipe, task, path, config)
    try:
        return read_tensors(path)[0]
    except UserError as error:
        raise UserError(f"{error}; delete it to pretrain again") from None


def _pretrain(recipe: dict[str, Any], target: Task, path: Path, config: dict[str, Any]) -> None:
    task: Task = build(recipe["dataset"], "dataset")
    if (task.input_shape, task.num_outputs) != (target.input_shape, target.num_outputs):
        raise UserError(
            f"the source task has inputs {task.input_shape} and {task.num_outputs} outputs, the run's task "
            f"{target.input_shape} and {target.num_outputs}: change init.source.dataset"
        )
    device = choose_device(config["device"])
    net = Subspace(make_model(recipe, task, recipe["seed"]).to(device))
    epochs = fit(
        net,
        task.to(device),
        build(recipe["optim"], "optim")(net.parameters()),
        epochs=recipe["epochs"],
        batch_size=recipe["batch_size"],
        seed=rng.fan_out(recipe["seed"], "training"),
    )
    say("pretraining on the source task", sys.stderr)
    with Progress(recipe["epochs"], task.metric) as progress:
        for last in epochs:
            progress.show(last)
    if last.diverged:
        raise UserError(f"pretraining diverged in epoch {last.epoch}: lower init.source.optim.lr")
    metadata = {"recipe": recipe, "validation": last.validation}
    write_tensors(path, net.model.state_dict(), metadata, remedy=OUTPUT)
    score = f"validation {task.metric} {last.validation[task.metric]:.4f}"
    say(f"pretrained on the source task: {score}, kept as {path}", sys.stderr)
