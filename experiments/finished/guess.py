"""The score of answering without looking: the null that stands beside every other score."""

import math

import torch

from intrinsic.tasks.task import Split, Task


def guess(task: Task, split: Split) -> dict[str, float]:
    """The loss and the metric or metrics of the best constant answer, on a split; what is not finite is left out.

    Classes (integer targets): the log of each class's share of the training targets, so that the commonest class is
    answered. Numbers: the mean of the training targets. Where tokens are predicted: the same of tokens, one by one.
    """
    if task.tokens is not None:
        return _guess_tokens(task, split)
    seen = task.train.targets
    if seen.is_floating_point():
        answer = seen.reshape(len(seen), -1).mean(0).expand(task.num_outputs)
    else:
        share = torch.bincount(seen.flatten(), minlength=task.num_outputs).float() / seen.numel()
        answer = share.clamp_min(torch.finfo(share.dtype).tiny).log()
    outputs, targets = answer.expand(len(split), -1).contiguous(), split.targets
    if task.metrics is None:
        assert task.score is not None
        scores = {task.metric: task.score(outputs, targets).mean().item()}
    else:
        scores = task.metrics(outputs.cpu(), targets.cpu())
    found = {"loss": task.loss(outputs, targets).item(), **scores}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _guess_tokens(task: Task, split: Split) -> dict[str, float]:
    counts, own = (
        torch.bincount(targets[targets >= 0].long(), minlength=task.num_outputs).double()
        for targets in (task.train.targets, split.targets)
    )
    logs = (counts / counts.sum()).clamp_min(torch.finfo(torch.float32).tiny).log()
    score = "token_accuracy" if task.generation is not None else task.metric
    total = own.sum()
    return {"loss": (-(own * logs).sum() / total).item(), score: (own[counts.argmax()] / total).item()}
