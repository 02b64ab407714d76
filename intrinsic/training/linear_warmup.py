"""A learning rate that rises and falls along lines, from step to step."""

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from intrinsic.checks import integer, share


class LinearWarmup(LRScheduler):
    """Step t = 0, 1, ... of T is taken at lr * min((t + 1) / (w + 1), (T - t) / (T - w)): up for w steps, then down.

    No step is taken at a rate of zero, neither the first nor the last.

    Args:
        optimizer: whose learning rates are the highest ones.
        epochs: T is these, times `steps_per_epoch`.
        warmup: w / T, in [0, 1).
        steps_per_epoch: how often it steps in an epoch.

    Raises:
        UserError: for a number that is out of range.
    """

    interval = "step"  # with every step of the optimiser

    def __init__(self, optimizer: Optimizer, *, epochs: int, warmup: float, steps_per_epoch: int = 1) -> None:
        self._total = integer("epochs", epochs, 1, of="schedule") * steps_per_epoch
        self._warmup = share("warmup", warmup, of="schedule")
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The rates of the step that comes next; zero beyond the last."""
        t, T = self.last_epoch, self._total
        w = self._warmup * T
        factor = max(0.0, min((t + 1) / (w + 1), (T - t) / (T - w)))
        return [lr * factor for lr in self.base_lrs]
