"""The reader of a task: what a model reads and what it answers, so that a task is made to suit it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from experiments.config.build import build
from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.models.hugging_face.objective import hf_objective
from intrinsic.tasks.instructions import instruct
from intrinsic.tasks.language import language
from intrinsic.tasks.task import Task
from intrinsic.tasks.tokens import tokenize


@dataclass(frozen=True)
class Reader:
    """A model as a reader: of inputs of a shape or, with a tokenizer, of texts.

    Args:
        node: the model's node of a config; one with an objective predicts the text itself, others predict labels.
        tokenizer: its tokenizer's node; None: it reads no texts.
    """

    node: Mapping[str, Any]
    tokenizer: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """What builds the model."""
        return str(self.node["_target_"])

    @property
    def reads_text(self) -> bool:
        """Whether its inputs are tokens."""
        return self.tokenizer is not None

    @property
    def predicts_text(self) -> bool:
        """Whether its outputs are tokens."""
        return "objective" in self.node

    def model(self, task: Task, seed: int) -> nn.Module:
        """The model for a task, at random weights from `seed`; the global random state stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.fan_out(seed, "init"))
            model: nn.Module = build(self.node, "model")(task.input_shape, task.num_outputs)
        return model

    def make_tokenizer(self) -> Any:
        """Its tokenizer."""
        return build(self.tokenizer, "tokenizer")

    def check_weights(self) -> None:
        """Check that the model has weights of its own.

        Raises:
            UserError: if it has none.
        """
        if "source" not in self.node:
            raise UserError(
                f"init=hub needs a model with weights of its own, got {self.name}: use model=minilm, or init=scratch"
            )

    def task(self, dataset: Mapping[str, Any], data_dir: str | None) -> Task:
        """The dataset that a node says; texts are cut by the tokenizer, and plain ones predicted by the model.

        Raises:
            UserError: if the model reads texts and the dataset has none, or the reverse; or labels, likewise.
        """
        task: Task = build(dataset, "dataset")
        if not self.reads_text:
            if task.texts is not None:
                raise UserError(f"{self.name} reads no text: use model=minilm or hf, or another dataset")
            return task
        if task.texts is None:
            raise UserError(
                f"{self.name} reads text, the dataset has inputs {task.input_shape}: use "
                f"dataset={'text' if self.predicts_text else 'sst2'}"
            )
        objective = self._objective(task)
        tokenizer = self.make_tokenizer()
        if task.generation is not None:
            if objective != "causal":
                raise UserError(f"{self.name} answers no prompts, it predicts hidden tokens: need a causal model")
            return instruct(task, tokenizer, data_dir)
        tokens = tokenize(task, tokenizer, data_dir)
        return tokens if objective is None else language(tokens, tokenizer, objective=objective, seed=dataset["seed"])

    def _objective(self, task: Task) -> str | None:
        """What the model predicts of texts: None for labels."""
        if self.predicts_text and task.tokens is None:
            raise UserError(f"{self.name} learns plain text, the dataset has labels: use dataset=text, or model=hf")
        if task.tokens is None:
            return None
        if not self.predicts_text:
            raise UserError(f"{self.name} classifies, dataset=text has no labels: use model=hf_lm, or dataset=sst2")
        objective: str | None = self.node["objective"]
        return hf_objective(self.node["name"], self.node["objective"]) if "name" in self.node else objective
