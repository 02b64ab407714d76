"""A task from a config, as its model takes it."""

from typing import Any

from experiments.build import build
from intrinsic.data.task import Task
from intrinsic.data.tokens import tokenized
from intrinsic.errors import UserError


def make_task(config: dict[str, Any]) -> Task:
    """The config's dataset; texts are cut by the model's tokenizer.

    Raises:
        UserError: if the model reads texts and the dataset has none, or the reverse.
    """
    task: Task = build(config["dataset"])
    if "tokenizer" not in config:
        if task.texts is not None:
            raise UserError(f"{config['model']['_target_']} reads no text: take model=minilm or hf, or another dataset")
        return task
    if task.texts is None:
        raise UserError(
            f"{config['model']['_target_']} reads text, the dataset has inputs {task.input_shape}: take dataset=sst2"
        )
    return tokenized(task, build(config["tokenizer"]), config["data_dir"])
