"""Early stopping: how a net does after each epoch, and when its run is over."""

import math
import time
from collections.abc import Callable, Sequence

from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Task
from intrinsic.training.epoch import Epoch
from intrinsic.training.evaluate import evaluate


class EarlyStopping:
    """Where a run stands: the number of its next epoch, and whether it is over.

    Over after `epochs`, after divergence, when the task `is_solved`, when a validation score is `enough`, or after
    `patience` epochs without a better one.
    """

    def __init__(
        self,
        task: Task,
        epochs: int,
        patience: int | None,
        history: Sequence[Epoch] = (),
        *,
        is_solved: Callable[[], bool] | None = None,
        enough: float | None = None,
    ) -> None:
        self._is_solved, self._enough = is_solved, math.inf if enough is None else enough
        self._task, self._epochs, self._patience = task, epochs, patience
        bests = [epoch for epoch in history if epoch.best]  # each better than the one before; scores may be NaN
        self._best = bests[-1].validation[task.metric] if bests else -math.inf
        self._since_best = len(history) - (bests[-1].epoch if bests else 0)
        self.number = len(history) + 1
        self.over = self._ended()

    def _ended(self) -> bool:
        if self._is_solved is not None and self._is_solved():
            return True
        if self._best >= self._enough:
            return True
        return self.number > self._epochs or (self._patience is not None and self._since_best >= self._patience)

    def measure(self, net: Subspace, train_loss: float, start: float) -> Epoch:
        """Measure `net` after its next epoch, which began at `start` of `time.perf_counter`."""
        validation = evaluate(net, self._task, self._task.validation)
        score = validation[self._task.metric]
        improved = score > self._best
        self._best, self._since_best = (score, 0) if improved else (self._best, self._since_best + 1)
        number, self.number = self.number, self.number + 1
        ended = self._ended()
        test = evaluate(net, self._task, self._task.test) if improved or ended else None
        diverged = not math.isfinite(train_loss) or not math.isfinite(validation["loss"])
        train = evaluate(net, self._task, self._task.train) if ended and not diverged else None
        epoch = Epoch(number, train_loss, validation, test, improved, time.perf_counter() - start, train)
        self.over = ended or diverged
        return epoch
