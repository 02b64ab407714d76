"""A task from a config, as its model takes it."""

from typing import Any

from experiments.config.build import build
from intrinsic.errors import UserError
from intrinsic.models.hugging_face.objective import hf_objective
from intrinsic.tasks.language import language
from intrinsic.tasks.task import Task
from intrinsic.tasks.tokens import tokenize


def make_task(config: dict[str, Any]) -> Task:
    """The config's dataset; texts are cut by the model's tokenizer, and plain ones predicted by it.

    Raises:
        UserError: if the model reads texts and the dataset has none, or the reverse; or labels, likewise.
    """
    task: Task = build(config["dataset"], "dataset")
    if "tokenizer" not in config:
        if task.texts is not None:
            raise UserError(f"{config['model']['_target_']} reads no text: use model=minilm or hf, or another dataset")
        return task
    if task.texts is None:
        raise UserError(
            f"{config['model']['_target_']} reads text, the dataset has inputs {task.input_shape}: use "
            f"dataset={'text' if 'objective' in config['model'] else 'sst2'}"
        )
    objective = _objective(config, task)
    tokenizer = build(config["tokenizer"], "tokenizer")
    tokens = tokenize(task, tokenizer, config["data_dir"])
    return (
        tokens
        if objective is None
        else language(tokens, tokenizer, objective=objective, seed=config["dataset"]["seed"])
    )


def _objective(config: dict[str, Any], task: Task) -> str | None:
    """What the model predicts of texts: None for labels."""
    speaks, model = "objective" in config["model"], config["model"]["_target_"]
    if speaks and task.tokens is None:
        raise UserError(f"{model} learns plain text, the dataset has labels: use dataset=text, or model=hf")
    if task.tokens is None:
        return None
    if not speaks:
        raise UserError(f"{model} classifies, dataset=text has no labels: use model=hf_lm, or dataset=sst2")
    return hf_objective(config["model"]["name"], config["model"]["objective"])
