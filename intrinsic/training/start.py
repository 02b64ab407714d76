"""The start of a run, z = 0: what it scores before any training, and what a constant answer scores."""

from typing import Any

import torch
from torch import Tensor

from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Split, Task
from intrinsic.training.evaluate import EVALUATION_BATCH, evaluate

SPLITS = ("train", "validation", "test")


def start(net: Subspace, task: Task) -> dict[str, Any]:
    """Epoch 0 for a record: loss and metrics of each split, and under "constant" those of the constant predictor.

    A net that is not yet trained stands at theta_0. The random state and the net are left as they are.

    Returns:
        {"epoch": 0, "train": {"loss": ..., metric: ...}, "validation": ..., "test": ..., "constant": {split: score}}
    """
    mode = net.training
    scores: dict[str, Any] = {split: evaluate(net, task, getattr(task, split)) for split in SPLITS}
    net.train(mode)
    return {"epoch": 0, **scores, "constant": {split: constant_score(task, getattr(task, split)) for split in SPLITS}}


def constant_score(task: Task, split: Split) -> float | None:
    """The task's metric on a split for one answer to everything: the majority class, or the mean, of the training data.

    0 for correlations; of episodes the mean return of random actions. None where tokens are predicted.
    """
    if task.environment is not None:
        return task.environment.random_returns(split.inputs).mean().item()
    if task.tokens is not None:
        return None
    answer = _constant(task)
    if task.score is not None:
        parts = split.targets.split(EVALUATION_BATCH)
        total = sum(float(task.score(answer.expand(len(part), -1), part).sum()) for part in parts)
        return total / len(split)
    assert task.metrics is not None
    return task.metrics(answer.expand(len(split), -1).cpu(), split.targets.cpu())[task.metric]


def _constant(task: Task) -> Tensor:
    """The outputs of the constant predictor: (1, num_outputs)."""
    targets = task.train.targets
    if targets.is_floating_point():
        return targets.reshape(len(targets), -1).mean(0, keepdim=True).expand(1, task.num_outputs)
    counts = torch.bincount(targets.reshape(-1), minlength=task.num_outputs)
    return torch.nn.functional.one_hot(counts.argmax(), task.num_outputs)[None].float()
