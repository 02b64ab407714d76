"""theta_0 from a source task: trained once, kept under the hash of its recipe."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from experiments.config.build import build
from experiments.run.reader import Reader
from experiments.terminal.progress import Progress
from intrinsic import rng
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.files.lock import locked
from intrinsic.files.own_files import OwnFiles
from intrinsic.files.records import OUTPUT
from intrinsic.files.run_id import run_id
from intrinsic.files.tensors import read_tensors, write_tensors
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Task
from intrinsic.terminal.say import say
from intrinsic.training.fit import data_order, fit

SOURCE = {"dataset", "epochs", "batch_size", "optim", "seed"}  # what a source task is described by
BURN_IN = SOURCE - {"epochs"} | {"steps"}  # or, by steps, its beginning


@dataclass(frozen=True)
class SourceTask:
    """Full training of a model on another task.

    Args:
        recipe: `SOURCE` or `BURN_IN`, the model, and its tokenizer where it has one: all that the weights depend on.
        own: the run's dataset.
        folder: where they are kept.
        data_dir: of the run.
    """

    recipe: dict[str, Any]
    own: Mapping[str, Any]
    folder: Path
    data_dir: str | None = None

    @classmethod
    def of(
        cls,
        init: Mapping[str, Any],
        dataset: Mapping[str, Any],
        reader: Reader,
        folder: Path,
        data_dir: str | None = None,
    ) -> Self:
        """The source task that `init` says, as changes of a run's dataset, for what reads that.

        Raises:
            UserError: if it changes a knob that the run's dataset does not have.
        """
        source = init["source"]
        if not isinstance(source, dict) or not isinstance(source["dataset"], dict):
            raise UserError(f"need init.source as keys, with keys of a dataset among them, got init.source={source}")
        need = BURN_IN if "steps" in source else SOURCE
        unknown = (init.keys() - {"source", "steps"}) | (source.keys() - need)
        if unknown:
            raise UserError(f"init.source has no key {min(unknown)}: need {', '.join(sorted(need))}")
        if "steps" in source:
            integer("init.steps", source["steps"], 1)
        foreign = source["dataset"].keys() - dataset.keys()
        if foreign:
            raise UserError(
                f"init=pretrained needs a dataset with the knob {min(foreign)}, which "
                f"{dataset['_target_']} does not have: use init=scratch"
            )
        recipe = {**source, "dataset": {**dataset, **source["dataset"]}, "model": reader.node}
        if reader.tokenizer is not None:
            recipe["tokenizer"] = reader.tokenizer
        return cls(recipe, dataset, folder, data_dir)

    def weights(self, target: Task, device: torch.device) -> dict[str, Tensor]:
        """The state dict of the model after training, on a CPU; for a run's task, whose outputs it must suit.

        Raises:
            UserError: if the source task has another shape, or training diverges.
        """
        path = self.folder / f"{run_id(self.recipe)}.safetensors"
        if not path.is_file():
            with locked(path.with_suffix(".lock"), purpose="pretrains the same model", setting="output"):
                if not path.is_file():
                    self._train(target, path, device)
        try:
            weights, metadata = read_tensors(path)
            OwnFiles(metadata.get("files") or {}).check(self.recipe, path, "put it back, else")
            return weights
        except UserError as error:
            raise UserError(f"{error}; delete it to pretrain again") from None

    def _train(self, target: Task, path: Path, device: torch.device) -> None:
        recipe = self.recipe
        reader = Reader(recipe["model"], recipe.get("tokenizer"))
        task = target if recipe["dataset"] == self.own else reader.task(recipe["dataset"], self.data_dir)
        alike = reader.reads_text or task.input_shape == target.input_shape  # texts may be longer or shorter
        if not alike or task.num_outputs != target.num_outputs:
            raise UserError(
                f"the source task has inputs {task.input_shape} and {task.num_outputs} outputs, the run's task "
                f"{target.input_shape} and {target.num_outputs}: change init.source.dataset"
            )
        net = Subspace(reader.model(task, recipe["seed"]).to(device))
        optimizer, task = build(recipe["optim"], "optim")(net.parameters()), task.to(device)
        options = {"batch_size": recipe["batch_size"], "seed": rng.fan_out(recipe["seed"], "training")}
        say(f"{self._what} first", sys.stderr)
        with Progress(self._epochs(task), task.metric) as progress:
            for part, epochs in self._parts(task):
                for last in fit(net, part, optimizer, epochs=epochs, **options):
                    progress.show(last)
        if last.diverged:
            raise UserError(f"{self._what} diverged in epoch {last.epoch}: lower init.source.optim.lr")
        files = OwnFiles.of(recipe, task.files).hashes
        metadata = {"recipe": recipe, "validation": last.validation, "files": files}
        write_tensors(path, net.model.state_dict(), metadata, remedy=OUTPUT)
        score = f"validation {task.metric} {last.validation[task.metric]:.4f}"
        say(f"{self._what}: {score}, kept as {path}", sys.stderr)

    @property
    def _what(self) -> str:
        steps = self.recipe.get("steps")
        return "pretraining on the source task" if steps is None else f"full training of {steps} steps"

    def _parts(self, task: Task) -> Iterator[tuple[Task, int]]:
        """What is trained on, and for how many epochs: of steps the whole epochs, then some examples."""
        if "epochs" in self.recipe:
            yield task, self.recipe["epochs"]
            return
        size, train = self.recipe["batch_size"], task.train
        whole, rest = divmod(self.recipe["steps"], -(-len(train) // size))
        if whole:
            yield task, whole
        if rest:
            some = data_order(rng.fan_out(self.recipe["seed"], "rest"), len(train))[: rest * size]
            yield replace(task, train=train.select(some)), 1

    def _epochs(self, task: Task) -> int:
        return sum(epochs for _, epochs in self._parts(task))
