"""The training loop for several nets at once."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Task
from intrinsic.training.early_stopping import EarlyStopping
from intrinsic.training.epoch import Epoch
from intrinsic.training.fit import check_numbers, data_order
from intrinsic.training.learning_rates import LearningRates
from intrinsic.training.rate_groups import rate_groups
from intrinsic.training.regularized import regularized
from intrinsic.training.replicas import Call, Replicas
from intrinsic.training.seeded import seeded

ELEMENTWISE = (Adam, AdamW, SGD)  # what they do to a number depends on that number alone: stacked or not is the same


def fit_replicas(
    nets: Sequence[Subspace],
    task: Task,
    make_optimizer: Callable[[list[dict[str, Any]]], Optimizer],
    *,
    lrs: Sequence[float],
    seeds: Sequence[int],
    epochs: int,
    batch_size: int,
    schedule: Callable[..., LRScheduler] | None = None,
    interval: str | None = None,
    l2_weights: float = 0.0,
    patience: int | None = None,
    factors: Mapping[str, float] | None = None,
) -> Iterator[tuple[int, Epoch, bool]]:
    """Train all `nets` at once, each as `fit` does; yield (index of the net, its epoch, whether that was its last).

    The epochs are those of `fit` up to rounding, but for dropout, which is equal in distribution only. A net that
    diverges or runs out of patience is yielded no more and stays as it was then, while the others go on. An epoch's
    `seconds` are those for all nets. The global random state is left as it was.

    Args:
        nets: made alike, but for their seeds; on the device of the task's data. Net i is trained with lrs[i], seeds[i].
        task: data, loss and score.
        make_optimizer: called with parameter groups, one for each distinct learning rate; Adam, AdamW or SGD of torch.
        lrs: learning rates.
        seeds: of data order; the one of the net with the smallest learning rate is that of dropout for all.
        epochs: in all.
        batch_size: of each net.
        schedule: as in `fit`.
        interval: as in `fit`.
        l2_weights: as in `fit`.
        patience: as in `fit`, of each net by itself.
        factors: of each trained parameter's learning rate, see `rate_factors`. None: 1.

    Raises:
        UserError: for a number that is out of range, another optimiser, nets that are not alike, or a model that
            `vmap` cannot run.
    """
    check_numbers(epochs=epochs, batch_size=batch_size, l2_weights=l2_weights, patience=patience)
    if not 0 < len(nets) == len(lrs) == len(seeds):
        raise UserError(f"need a lr and a seed for each net, got {len(nets)} nets, {len(lrs)} lrs, {len(seeds)} seeds")
    rows = sorted(range(len(nets)), key=lambda net: lrs[net])  # equal learning rates stand together
    replicas = Replicas([nets[net] for net in rows])
    optimizer, views = _optimizer(replicas, make_optimizer, [lrs[net] for net in rows], factors)
    if task.train.lengths is not None:
        raise UserError("replicas need inputs of one length, and batches of text have their own: use replicas=1")
    if task.noise is not None:
        raise UserError("replicas read examples as they are, and this task has noise of its own: use replicas=1")
    rates = LearningRates(optimizer, schedule, interval, steps=-(-len(task.train) // batch_size))

    def step(objectives: Tensor) -> None:
        found = torch.autograd.grad(objectives.sum(), list(replicas.trained.values()), allow_unused=True)
        grads = dict(zip(replicas.trained, found, strict=True))
        for parameter, name, cut in views:
            # fused optimisers read memory in the parameter's order, whatever the gradient's strides
            parameter.grad = None if (grad := grads[name]) is None else grad[cut].contiguous()
        optimizer.step()
        rates.after_step()

    def run() -> Iterator[tuple[int, Epoch, bool]]:
        courses = {net: EarlyStopping(task, epochs, patience) for net in range(len(nets))}
        for number in range(1, epochs + 1):
            start = time.perf_counter()
            nets[rows[0]].train()
            epoch_seeds = [rng.fan_out(seeds[net], "epoch", number) for net in rows]
            losses = _train(replicas, task, step, batch_size, epoch_seeds, l2_weights)
            measured = {}
            for row, net in enumerate(rows):
                if not courses[net].over:
                    replicas.store(row)
                    measured[net] = courses[net].measure(nets[net], losses[row], start)
            seconds = time.perf_counter() - start
            for net in sorted(measured):
                yield net, replace(measured[net], seconds=seconds), courses[net].over
            if all(course.over for course in courses.values()):
                return
            rates.after_epoch()

    return run()


def _optimizer(
    replicas: Replicas,
    make: Callable[[list[dict[str, Any]]], Optimizer],
    lrs: Sequence[float],
    factors: Mapping[str, float] | None,
) -> tuple[Optimizer, list[tuple[nn.Parameter, str, slice]]]:
    """An optimiser of views of the stacked numbers, and of each view the name and the rows that it holds."""
    views: list[tuple[nn.Parameter, str, slice]] = []
    groups: list[dict[str, Any]] = []
    first = 0
    for lr, members in groupby(lrs):
        cut = slice(first, first + len(list(members)))
        first = cut.stop
        own = {name: nn.Parameter(tensor.detach()[cut]) for name, tensor in replicas.trained.items()}
        views += [(view, name, cut) for name, view in own.items()]
        groups += rate_groups(own, dict.fromkeys(own, 1.0) if factors is None else factors, lr)
    optimizer = make(groups)
    if type(optimizer) not in ELEMENTWISE:
        names = ", ".join(kind.__name__ for kind in ELEMENTWISE)
        raise UserError(f"replicas need one of {names} as optimiser, got {type(optimizer).__name__}: use replicas=1")
    return optimizer, views


def _train(
    replicas: Replicas,
    task: Task,
    step: Callable[[Tensor], None],
    batch_size: int,
    seeds: Sequence[int],
    l2_weights: float,
) -> list[float]:
    """One pass of every replica over the training split, in its own order; returns each mean loss of the batches."""
    inputs, targets = task.train.inputs, task.train.targets
    orders = torch.stack([data_order(seed, len(inputs)) for seed in seeds]).to(inputs.device)  # (replicas, examples)
    totals = torch.zeros(len(seeds), device=inputs.device)

    def losses(call: Call, weights: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        loss = task.loss(call(inputs), targets)
        return regularized(loss, weights, l2_weights), loss.detach()

    with seeded(rng.fan_out(seeds[0], "dropout"), inputs.device):
        for batch in orders.split(batch_size, dim=1):
            objectives, loss = replicas.map(losses, inputs[batch], targets[batch])
            step(objectives)
            totals += loss * batch.shape[1]
    return [total / len(inputs) for total in totals.tolist()]
