"""A learning rate that rises and falls along lines, from step to step."""

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from intrinsic.checks import integer, share


class LinearWarmup(LRScheduler):
    """Step t = 0, 1, ... of T is taken at lr * min((t + 1) / (w + 1), (T - t) / (T - w)): up for w steps, then down.

    Steps once with every optimiser step. No step is taken at a rate of zero, neither the first nor the last.

    Args:
        optimizer: whose learning rates are the highest ones.
        epochs: T is these, times the steps of an epoch that `spread` tells (1 before it does).
        warmup: w / T, in [0, 1).

    Raises:
        UserError: for a number that is out of range.
    """

    def __init__(self, optimizer: Optimizer, *, epochs: int, warmup: float) -> None:
        self._epochs, self._warmup = integer("epochs", epochs, 1, of="schedule"), share("warmup", warmup, of="schedule")
        self._total: int = epochs
        super().__init__(optimizer)

    def spread(self, steps: int) -> None:
        """Tell how many optimiser steps an epoch has, before the first of them."""
        self._total = self._epochs * steps
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr

    def get_lr(self) -> list[float | Tensor]:
        """The rates of the step that comes next; zero beyond the last."""
        t, T = self.last_epoch, self._total
        w = self._warmup * T
        factor = max(0.0, min((t + 1) / (w + 1), (T - t) / (T - w)))
        return [lr * factor for lr in self.base_lrs]
