"""The learning rates of an optimiser in training: a scheduler, and when it steps."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from intrinsic.errors import UserError
from intrinsic.surgery.torch_internals import has_stepped

INTERVALS = ("step", "epoch")


class LearningRates:
    """A scheduler that steps with the optimiser or once an epoch, as it is after some epochs.

    These are replayed, so that its state need not be stored.

    Args:
        optimizer: whose learning rates they are; those that it has now are the scheduler's first.
        schedule: makes the scheduler of an optimiser; None: they stay as they are. One that has an argument
            `steps_per_epoch`, such as `OneCycleLR` of torch, is told how often it steps in an epoch.
        interval: "step" or "epoch"; None: as the attribute `interval` of the scheduler's class has it, else "epoch".
        steps: of the optimiser in an epoch.
        epochs: that are over.

    Raises:
        UserError: for another interval, and a scheduler that gives groups of several rates one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Callable[..., LRScheduler] | None,
        interval: str | None = None,
        *,
        steps: int,
        epochs: int = 0,
    ) -> None:
        if interval not in (None, *INTERVALS):
            raise UserError(f"need schedule.interval to be {' or '.join(INTERVALS)}, got interval={interval!r}")
        self._scheduler: LRScheduler | None = None
        if schedule is None:
            return
        bound: dict[str, Any] = schedule.keywords if isinstance(schedule, partial) else {}
        made = schedule.func if isinstance(schedule, partial) else schedule
        self._interval: str = getattr(made, "interval", "epoch") if interval is None else interval
        count = steps if self._interval == "step" else 1
        for group in optimizer.param_groups:
            group["lr"] = group.pop("initial_lr", group["lr"])
        before = [float(group["lr"]) for group in optimizer.param_groups]
        counted = "steps_per_epoch" in inspect.signature(made).parameters and "steps_per_epoch" not in bound
        self._scheduler = schedule(optimizer, steps_per_epoch=count) if counted else schedule(optimizer)
        _check_ratios(before, [float(group["lr"]) for group in optimizer.param_groups], made)
        for _ in range(epochs * count):
            has_stepped(optimizer)
            self._scheduler.step()

    @property
    def move_each_step(self) -> bool:
        """Whether they change from step to step."""
        return self._scheduler is not None and self._interval == "step"

    def after_step(self) -> None:
        """Note that the optimiser has taken a step."""
        if self._scheduler is not None and self.move_each_step:
            self._scheduler.step()

    def after_epoch(self) -> None:
        """Note that an epoch is over."""
        if self._scheduler is not None and self._interval == "epoch":
            self._scheduler.step()


def _check_ratios(before: list[float], after: list[float], schedule: Any) -> None:
    """Check that a scheduler has kept the groups' learning rates apart: some set one rate for all."""
    if any(
        abs(old * after[0] - new * before[0]) > 1e-9 * old * after[0] for old, new in zip(before, after, strict=True)
    ):
        name = getattr(schedule, "__name__", schedule)
        raise UserError(f"{name} sets one rate for all groups: use a schedule of multiples of lr, or no lr_groups")
