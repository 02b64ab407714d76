"""A task: examples in three splits, a loss to minimise and a score to report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from intrinsic.errors import UserError
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.generation import Generation


@dataclass(frozen=True)
class Split:
    """Examples in memory: `inputs` (n, ...) and `targets` (n, ...), row i of each being example i.

    `lengths` (n,) int64, on the CPU: how much of the last axis of each input is used, where it is padded. None: all.
    `rows` (n,) int64, on the CPU: which example of the dataset each one is, where answers are judged by it.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> "Split":
        """Return the split with its examples on `device`."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))

    def select(self, some: Tensor) -> "Split":
        """Return the split of these examples, (m,) int64 of positions, on the CPU."""
        own = some.to(self.inputs.device)
        lengths, rows = (None if each is None else each[some] for each in (self.lengths, self.rows))
        return Split(self.inputs[own], self.targets[own], lengths, rows)


@dataclass(frozen=True)
class Task:
    """A dataset and how it is judged.

    Outputs are (n, num_outputs). `loss(outputs, targets)` is a scalar, the mean over the examples. The metric called
    `metric`, of which higher is better, is one of two: the mean of `score(outputs, targets)`, (n,) float, one number
    per example; or, where it is no such mean, an entry of `metrics(outputs, targets)`, numbers by name of a whole
    split, all of which are reported.

    `tokens(targets)`, (n,) int64: how many tokens of each example are predicted, in language modelling. Outputs are
    then (n, length, num_outputs) or wider, the loss is the mean over tokens, `score` the sum over those of an example,
    and perplexity, exp(loss), is reported beside the metric. None: an example is judged as a whole.

    `noise(inputs, targets)`: what training reads instead of a batch, drawn anew in each step from torch's global random
    state; evaluation reads the examples as they are. None: training does, too.

    `environment`: inputs are seeds of its episodes, outputs a number for each action, and the metric is the mean
    return; there is no score of an example, and no loss. None: inputs are examples.

    `generation`: how prompts are answered, and answers judged: of the metrics, `exact_match` is by greedy answers, and
    `score` is called token_accuracy. None: nothing is generated.

    `texts`: what there is to read, one or two texts each. Inputs (n,) int64 are then positions in it, until a model's
    tokenizer turns them into what that model takes. None: inputs are what models take.

    `files`: what the task was read from, where no checksum is known of it: paths of files or folders as the config says
    them, or their places in the data folder.
    """

    train: Split
    validation: Split
    test: Split
    num_outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor] | None = None
    metric: str = "accuracy"
    metrics: Callable[[Tensor, Tensor], dict[str, float]] | None = None
    texts: Sequence[tuple[str, ...]] | None = None
    tokens: Callable[[Tensor], Tensor] | None = None
    noise: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    environment: Environment | None = None
    generation: Generation | None = None
    files: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.environment is None and (self.score is None) == (self.metrics is None):
            raise UserError(
                f"a task is judged by score or by metrics, got {'neither' if self.score is None else 'both'}"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the axis of examples."""
        if self.environment is not None:
            return self.environment.observation_shape
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
