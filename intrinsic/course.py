"""How a net does after each epoch, and when its run is over."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from intrinsic.data.batches import batches
from intrinsic.data.task import Split, Task
from intrinsic.subspace import Subspace

EVALUATION_BATCH = 1000  # examples
EVALUATION_TEXTS = 64  # of inputs that have lengths: a longer batch leaves the cache, and takes more padding
EVALUATION_LOGITS = 1 << 26  # of texts with logits at each token: a quarter of a GB


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training split gave.

    Args:
        epoch: its number, from 1.
        train_loss: the mean loss of its batches, each before its step; not finite if training diverged.
        validation: "loss" and the task's metric or metrics after the epoch.
        test: the same on the test split; None where it was not measured: test data is only reported, so it is measured
            when validation is at its best so far, and at the end.
        best: whether validation is at its best so far.
        seconds: for training and measuring.
        train: "loss" and the metric on the training split, in evaluation mode like the others; measured when the run
            ends, None before. None also after divergence, and in a checkpoint from before it was measured.
    """

    epoch: int
    train_loss: float
    validation: dict[str, float]
    test: dict[str, float] | None
    best: bool
    seconds: float
    train: dict[str, float] | None = None

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite."""
        return not math.isfinite(self.train_loss) or not math.isfinite(self.validation["loss"])

    def to_dict(self) -> dict[str, Any]:
        """For records."""
        return asdict(self)


class Course:
    """Where a run stands: the number of its next epoch, and whether it is over.

    Over after `epochs`, after divergence, or after `patience` epochs without a better validation score.
    """

    def __init__(self, task: Task, epochs: int, patience: int | None, history: Sequence[Epoch] = ()) -> None:
        self._task, self._epochs, self._patience = task, epochs, patience
        self._best = max((epoch.validation[task.metric] for epoch in history), default=-math.inf)
        self._since_best = next((i for i, epoch in enumerate(reversed(history)) if epoch.best), 0)
        self.number = len(history) + 1
        self.over = self._ended()

    def _ended(self) -> bool:
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


def evaluate(net: Subspace, task: Task, split: Split) -> dict[str, float]:
    """Mean loss and the task's metric or metrics over a split, in evaluation mode: {"loss": ..., task.metric: ...}.

    Where tokens are predicted, both are means over the tokens of the split, beside "perplexity" = exp(loss). Outputs
    are kept for metrics of whole splits alone. Inputs that have lengths are sorted by them, so that little is padded:
    the same up to rounding. What a model draws at random there is the same at every call; the global random state is
    left as it was.
    """
    net.eval()
    loss, score = 0.0, 0.0
    seen: list[tuple[Tensor, Tensor]] = []
    device = split.inputs.device
    order = None if split.lengths is None else split.lengths.argsort(stable=True)
    size = EVALUATION_BATCH if order is None else EVALUATION_TEXTS
    judged = len(split) if task.tokens is None else int(task.tokens(split.targets).sum())
    if task.tokens is not None:
        size = max(1, min(size, EVALUATION_LOGITS // (task.num_outputs * split.inputs.shape[-1])))
    with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        weights = net.weights()
        for inputs, targets in batches(split, order, size):
            outputs = net.call(weights, inputs)
            count = len(inputs) if task.tokens is None else int(task.tokens(targets).sum())
            loss += task.loss(outputs, targets).item() * count
            if task.score is None:
                seen.append((outputs.cpu(), targets.cpu()))
            else:
                score += task.score(outputs, targets).sum().item()
    if task.metrics is None:
        beside = (
            {} if task.tokens is None else {"perplexity": torch.tensor(loss / judged, dtype=torch.float64).exp().item()}
        )
        return {"loss": loss / judged, task.metric: score / judged, **beside}
    outputs, targets = (torch.cat(parts) for parts in zip(*seen, strict=True))
    return {"loss": loss / len(split), **task.metrics(outputs, targets)}
