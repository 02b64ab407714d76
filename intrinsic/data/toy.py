"""The toy task whose intrinsic dimension is known: 10 sums must equal 1, 2, ..., 10."""

import torch
from torch import Tensor

from intrinsic.checks import check_memory, integer
from intrinsic.tasks.task import Split, Task

_SUMS = 10


def toy(*, steps: int) -> Task:
    """Build the task with the one example input (1,), always 1, and target (10,) = 1, 2, ..., 10.

    loss = mean over the 10 sums of (output - target)^2: 38.5 at outputs of zero. score = exp(-loss of the example) in
    (0, 1], called performance. `train` repeats the example `steps` times, so that an epoch at batch size 1 takes that
    many optimiser steps; validation and test are the same example, once. With the model `Sums`, d = 10 solves it
    exactly and a smaller d cannot.

    Raises:
        UserError: unless `steps` is an integer >= 1, and for more than memory holds.

    Source: Li et al. 2018, arXiv:1804.08838, the toy example.
    """
    integer("steps", steps, 1, of="toy")
    check_memory(4 * (1 + _SUMS) * steps, f"toy of {steps=}")
    once = Split(torch.ones(1, 1), torch.arange(1.0, _SUMS + 1).unsqueeze(0))
    train = Split(once.inputs.repeat(steps, 1), once.targets.repeat(steps, 1))
    return Task(train, once, once, _SUMS, loss=_loss, score=_performance, metric="performance")


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


def _performance(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.exp(-(outputs - targets).square().mean(dim=-1))
