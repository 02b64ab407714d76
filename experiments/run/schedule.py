"""A learning-rate schedule from its node of a config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from experiments.config.build import COMPLAINTS, build
from intrinsic.errors import UserError
from intrinsic.training.learning_rates import LearningRates


@dataclass(frozen=True)
class Schedule:
    """What `LearningRates` takes beside an optimiser."""

    make: Callable[..., LRScheduler] | None  # None: the learning rate stays as it is
    interval: str | None

    @classmethod
    def of(cls, node: Any, optimizer: Optimizer) -> Self:
        """The schedule that a node says; its key `interval` is `LearningRates`'.

        `optimizer` tries it: some arguments are looked at by torch only in a step.

        Raises:
            UserError: for what cannot be made, and if it cannot take a step.
        """
        if not node:
            return cls(None, None)
        given, interval = node, None
        if isinstance(node, Mapping) and "interval" in node:
            given, interval = {key: value for key, value in node.items() if key != "interval"}, node["interval"]
        schedule = cls(build(given, "schedule"), interval)
        rates = LearningRates(optimizer, schedule.make, interval, steps=1)
        optimizer.step()
        try:
            rates.after_step()
            rates.after_epoch()
        except COMPLAINTS as error:
            named = {key: value for key, value in node.items() if not key.startswith("_")}
            raise UserError(f"{node['_target_']} cannot take a step with {named}: {error}") from None
        return schedule
