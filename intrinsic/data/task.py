"""What is learned: examples in three splits, a loss to minimise and a score to report."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Split:
    """Examples in memory: `inputs` (n, ...) and `targets` (n, ...), row i of each being example i."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> "Split":
        """Return the split with both tensors on `device`."""
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True)
class Task:
    """A dataset and how it is judged.

    Outputs are (n, num_outputs). `loss(outputs, targets)` is a scalar, the mean over the examples.
    `score(outputs, targets)` is (n,) float, one number per example and higher is better; its mean is the metric called
    `metric`.
    """

    train: Split
    validation: Split
    test: Split
    num_outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor]
    metric: str = "accuracy"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the axis of examples."""
        return tuple(self.train.inputs.shape[1:])

    def to(self, device: torch.device | str) -> "Task":
        """Return the task with its three splits on `device`."""
        train, validation, test = self.train.to(device), self.validation.to(device), self.test.to(device)
        return replace(self, train=train, validation=validation, test=test)


def classification(train: Split, validation: Split, test: Split, *, num_outputs: int) -> Task:
    """Build a task with cross entropy as its loss and accuracy, in [0, 1], as its score; targets are (n,) int64."""
    return Task(train, validation, test, num_outputs, loss=functional.cross_entropy, score=_correct, metric="accuracy")


def _correct(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=-1) == targets).float()
