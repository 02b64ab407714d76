"""A task of control: episodes of an environment in place of examples."""

from typing import NoReturn

import torch
from torch import Tensor

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.task import Split, Task

EVALUATION = 100  # episodes of the validation split, and of the test split
FIRST_FRESH = 1 << 32  # seeds of training episodes begin here: no other split has seen them


def control(environment: Environment, *, episodes: int) -> Task:
    """Build a task whose inputs are the seeds of episodes and whose metric is the mean return.

    Test and validation are 100 episodes each, the same in every run. `episodes` make an epoch of training, each begun
    by a seed that is drawn anew in every step. There is no loss to differentiate: `optim=es` trains by returns alone.

    Raises:
        UserError: unless `episodes` is an integer >= 1.
    """
    integer("episodes", episodes, 1)

    return Task(
        train=_episodes(FIRST_FRESH, episodes),
        validation=_episodes(EVALUATION, EVALUATION),
        test=_episodes(0, EVALUATION),
        num_outputs=environment.num_actions,
        loss=_no_loss,
        metric="return",
        noise=_fresh,
        environment=environment,
    )


def _no_loss(outputs: Tensor, targets: Tensor) -> NoReturn:
    raise UserError("episodes have returns, and no loss")


def _episodes(first: int, count: int) -> Split:
    return Split(torch.arange(first, first + count), torch.zeros(count))


def _fresh(seeds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return torch.randint(FIRST_FRESH, 1 << 62, seeds.shape, device=seeds.device), targets
