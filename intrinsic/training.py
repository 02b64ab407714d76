"""The training loop: one Epoch at a time, no callbacks."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from intrinsic import rng
from intrinsic.data.task import Split, Task
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace

EVALUATION_BATCH = 1000  # examples


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training split gave.

    Args:
        epoch: its number, from 1.
        train_loss: the mean loss of its batches, each before its step; not finite if training diverged.
        validation: "loss" and the task's metric after the epoch.
        test: the same on the test split; None where it was not measured: test data is only reported, so it is measured
            when validation is at its best so far, and at the end.
        best: whether validation is at its best so far.
        seconds: for training and measuring.
    """

    epoch: int
    train_loss: float
    validation: dict[str, float]
    test: dict[str, float] | None
    best: bool
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite."""
        return not math.isfinite(self.train_loss) or not math.isfinite(self.validation["loss"])

    def to_dict(self) -> dict[str, Any]:
        """For records."""
        return asdict(self)


def fit(
    net: Subspace,
    task: Task,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    schedule: Callable[[Optimizer], LRScheduler] | None = None,
    l2_weights: float = 0.0,
    patience: int | None = None,
    history: Sequence[Epoch] = (),
) -> Iterator[Epoch]:
    """Train `net` on `task` and yield each epoch as it ends; stops early on divergence or lack of patience.

    Data order and dropout are functions of (seed, epoch), so that going on after `history` gives the same bits as
    never having stopped, if `net` and `optimizer` are as they were after its last epoch. The global random state is
    left as it was.

    Args:
        net: what is trained, on the device of the task's data.
        task: data, loss and score.
        optimizer: over `net.parameters()`.
        epochs: in all, `history` included.
        batch_size: examples a step; the last batch of an epoch may be smaller.
        seed: of data order and dropout.
        schedule: makes a learning-rate scheduler, which steps once an epoch.
        l2_weights: adds this times the sum of squares of the space's weights at theta_0 + P z, of those with two axes
            or more (kernels, not biases): Li et al. 2018. Unlike weight decay, which acts on z.
        patience: epochs without a better validation score after which to stop. None: never.
        history: the epochs that were already done.

    Raises:
        UserError: for a number that is out of range.
    """
    check_numbers(epochs=epochs, batch_size=batch_size, l2_weights=l2_weights, patience=patience)
    scheduler = _scheduler(optimizer, schedule, steps=len(history))

    def train(number: int) -> float:
        return _train(net, task, optimizer, batch_size, rng.fan_out(seed, "epoch", number), l2_weights)

    return _epochs(net, task, train, scheduler, epochs, patience, history)


def check_numbers(*, epochs: int, batch_size: int, l2_weights: float, patience: int | None) -> None:
    """Check the numbers that `fit` takes, for those who want to know before they make a net.

    Raises:
        UserError: for a number that is out of range.
    """
    _check("epochs", epochs, Integral, 1)
    _check("batch_size", batch_size, Integral, 1)
    _check("l2_weights", l2_weights, Real, 0)
    if patience is not None:
        _check("patience", patience, Integral, 1)


def _epochs(
    net: Subspace,
    task: Task,
    train: Callable[[int], float],
    scheduler: LRScheduler | None,
    epochs: int,
    patience: int | None,
    history: Sequence[Epoch],
) -> Iterator[Epoch]:
    best = max((epoch.validation[task.metric] for epoch in history), default=-math.inf)
    since_best = next((i for i, epoch in enumerate(reversed(history)) if epoch.best), 0)
    for number in range(len(history) + 1, epochs + 1):
        if patience is not None and since_best >= patience:
            return
        start = time.perf_counter()
        train_loss = train(number)
        validation = evaluate(net, task, task.validation)
        improved = validation[task.metric] > best
        best, since_best = (validation[task.metric], 0) if improved else (best, since_best + 1)
        last = number == epochs or (patience is not None and since_best >= patience)
        test = evaluate(net, task, task.test) if improved or last else None
        epoch = Epoch(number, train_loss, validation, test, improved, time.perf_counter() - start)
        yield epoch
        if epoch.diverged:
            return
        if scheduler is not None:
            scheduler.step()


def evaluate(net: Subspace, task: Task, split: Split) -> dict[str, float]:
    """Mean loss and score over a split, in evaluation mode: {"loss": ..., task.metric: ...}.

    What a model draws at random there is the same at every call; the global random state is left as it was.
    """
    net.eval()
    loss, score = 0.0, 0.0
    device = split.inputs.device
    with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        weights = net.weights()
        batches = zip(split.inputs.split(EVALUATION_BATCH), split.targets.split(EVALUATION_BATCH), strict=True)
        for inputs, targets in batches:
            outputs = net.call(weights, inputs)
            loss += task.loss(outputs, targets).item() * len(inputs)
            score += task.score(outputs, targets).sum().item()
    return {"loss": loss / len(split), task.metric: score / len(split)}


def _train(net: Subspace, task: Task, optimizer: Optimizer, batch_size: int, seed: int, l2_weights: float) -> float:
    """One pass over the training split; returns the mean loss of its batches."""
    inputs, targets = task.train.inputs, task.train.targets
    order = torch.from_numpy(rng.permutation(rng.fan_out(seed, "order"), len(inputs))).to(inputs.device)
    total = torch.zeros((), device=inputs.device)
    net.train()
    with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
        torch.manual_seed(rng.fan_out(seed, "dropout"))
        for batch in order.split(batch_size):
            weights = net.weights()
            loss = task.loss(net.call(weights, inputs[batch]), targets[batch])
            objective = loss + l2_weights * _sum_of_squares(weights) if l2_weights else loss
            optimizer.zero_grad(set_to_none=True)
            objective.backward()
            optimizer.step()
            total += loss.detach() * len(batch)
    return total.item() / len(inputs)


def _sum_of_squares(weights: dict[str, Tensor]) -> Tensor:
    return sum((w.square().sum() for w in weights.values() if w.ndim > 1), start=torch.zeros(()))


def _scheduler(
    optimizer: Optimizer, schedule: Callable[[Optimizer], LRScheduler] | None, steps: int
) -> LRScheduler | None:
    """The scheduler as it is after `steps` epochs; replayed, so that its state need not be stored."""
    if schedule is None:
        return None
    for group in optimizer.param_groups:
        group["lr"] = group.pop("initial_lr", group["lr"])
    scheduler = schedule(optimizer)
    for _ in range(steps):
        optimizer._opt_called = True  # type: ignore[attr-defined]  # the replayed steps were taken: no warning
        scheduler.step()
    return scheduler


def _check(name: str, value: object, kind: type, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:  # type: ignore[operator]
        what = "an integer" if kind is Integral else "a number"
        raise UserError(f"need {name} to be {what} >= {least}, got {name}={value}")
