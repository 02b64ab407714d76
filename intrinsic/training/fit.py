"""The training loop: one Epoch at a time, no callbacks."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from inspect import signature

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from intrinsic import rng
from intrinsic.checks import integer, number
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.subspace.redrawn import Redrawn
from intrinsic.tasks.batches import batches, bucket
from intrinsic.tasks.task import Task
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.early_stopping import EarlyStopping
from intrinsic.training.epoch import Epoch
from intrinsic.training.evolution_strategy import EvolutionStrategy
from intrinsic.training.evolve import evolve
from intrinsic.training.grpo import GRPO
from intrinsic.training.leaf_steps import LeafSteps
from intrinsic.training.learning_rates import LearningRates
from intrinsic.training.optimizer_step import optimizer_step, zero_grad
from intrinsic.training.policy_gradient import policy_gradient
from intrinsic.training.q_learn import q_learn
from intrinsic.training.regularized import regularized
from intrinsic.training.seeded import seeded


def fit(
    net: Subspace,
    task: Task,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    dropout_seed: int | None = None,
    schedule: Callable[..., LRScheduler] | None = None,
    interval: str | None = None,
    l2_weights: float = 0.0,
    patience: int | None = None,
    history: Sequence[Epoch] = (),
) -> Iterator[Epoch]:
    """Train `net` on `task` and yield each epoch as it ends; stops early on divergence or lack of patience.

    Data order, dropout and the task's noise are functions of (seed, epoch), so that going on after `history` gives the
    same bits as never having stopped, if `net` and `optimizer` are as they were after its last epoch. Inputs that have
    lengths make batches of similar ones, each trimmed to its longest. The global random state is left as it was.

    Args:
        net: what is trained, on the device of the task's data.
        task: data, loss and score.
        optimizer: over `net.parameters()`.
        epochs: in all, `history` included.
        batch_size: examples a step; the last batch of an epoch may be smaller.
        seed: of data order and dropout.
        dropout_seed: of dropout and the task's noise alone. None: `seed`.
        schedule: makes a learning-rate scheduler of an optimiser, see `LearningRates`.
        interval: when it steps: "step" or "epoch"; None: as its class says, else once an epoch.
        l2_weights: adds this times the sum of squares of the space's weights at theta_0 + P z, of those with two axes
            or more (kernels, not biases): Li et al. 2018. Unlike weight decay, which acts on z.
        patience: epochs without a better validation score after which to stop. None: never.
        history: the epochs that were already done.

    Raises:
        UserError: for a number that is out of range.
    """
    check_numbers(epochs=epochs, batch_size=batch_size, l2_weights=l2_weights, patience=patience)
    _check_optimizer(net, task, optimizer, l2_weights)
    steps = -(-len(task.train) // batch_size) * (optimizer.updates if isinstance(optimizer, GRPO) else 1)
    rates = LearningRates(optimizer, schedule, interval, steps=steps, epochs=len(history))
    if isinstance(optimizer, DeepQLearning) and rates.move_each_step:
        raise UserError("optim=dqn takes as many steps as its episodes last: use schedule=constant, or interval=epoch")
    drop_seed = seed if dropout_seed is None else dropout_seed

    def train(number: int) -> float:
        orders, drops = (rng.fan_out(each, "epoch", number) for each in (seed, drop_seed))
        if isinstance(optimizer, EvolutionStrategy):
            order = data_order(orders, len(task.train))
            return evolve(net, task, optimizer, rates, batch_size, order, rng.fan_out(drops, "evolution"))
        if isinstance(optimizer, DeepQLearning):
            own = rng.fan_out(drops, "episodes")
            return q_learn(net, task, optimizer, batch_size=batch_size, l2_weights=l2_weights, seed=own)
        if isinstance(optimizer, GRPO):
            own, order = rng.fan_out(drops, "answers"), data_order(orders, len(task.train))
            return policy_gradient(
                net, task, optimizer, rates, batch_size=batch_size, order=order, l2_weights=l2_weights, seed=own
            )
        taken = (number - 1) * steps
        return _train(net, task, optimizer, rates, batch_size, orders, rng.fan_out(drops, "dropout"), l2_weights, taken)

    is_solved = optimizer.is_solved if isinstance(optimizer, DeepQLearning) else None
    enough = optimizer.enough if isinstance(optimizer, EvolutionStrategy) else None
    course = EarlyStopping(task, epochs, patience, history, is_solved=is_solved, enough=enough)
    return _epochs(net, train, rates, course)


def check_numbers(*, epochs: int, batch_size: int, l2_weights: float, patience: int | None) -> None:
    """Check the numbers that `fit` takes, for those who want to know before they make a net.

    Raises:
        UserError: for a number that is out of range.
    """
    integer("epochs", epochs, 1)
    integer("batch_size", batch_size, 1)
    number("l2_weights", l2_weights, 0)
    if patience is not None:
        integer("patience", patience, 1)


def _check_optimizer(net: Subspace, task: Task, optimizer: Optimizer, l2_weights: float) -> None:
    """Check that the optimiser learns from what the task has, by steps that need no more than gradients."""
    _, *asked = signature(type(optimizer).step).parameters.values()
    if any(each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD for each in asked):
        raise UserError(
            f"fit computes one gradient a step, and {type(optimizer).__name__} asks for several: use optim=adam, or a "
            "loop of your own"
        )
    environment, strategy = task.environment, isinstance(optimizer, EvolutionStrategy)
    if isinstance(optimizer, DeepQLearning):
        if environment is None:
            raise UserError("optim=dqn learns from episodes, and the dataset has examples: use environment=cartpole")
        if not environment.is_choice:
            raise UserError(f"optim=dqn values a choice of actions, {environment.name} takes numbers: use optim=es")
    elif environment is not None and not strategy:
        raise UserError(f"{environment.name} has returns, and no loss to differentiate: use optim=es")
    if isinstance(optimizer, GRPO) and (task.generation is None or task.generation.verifier is None):
        raise UserError(
            "optim=grpo learns from answers that are right or wrong: use dataset=pairs dataset.verifier=exact"
        )
    rewarded = strategy or environment is not None or isinstance(optimizer, GRPO)
    if isinstance(net, Redrawn) and rewarded:
        raise UserError(f"redraw={net.every} counts steps of a gradient on examples: use redraw=null")
    if strategy and l2_weights:
        raise UserError(f"optim=es ranks scores, which have no penalty, got l2_weights={l2_weights}: use l2_weights=0")


def _epochs(
    net: Subspace, train: Callable[[int], float], rates: LearningRates, course: EarlyStopping
) -> Iterator[Epoch]:
    while not course.over:
        start = time.perf_counter()
        yield course.measure(net, train(course.number), start)
        if not course.over:
            rates.after_epoch()


def _train(
    net: Subspace,
    task: Task,
    optimizer: Optimizer,
    rates: LearningRates,
    batch_size: int,
    seed: int,
    drop_seed: int,
    l2_weights: float,
    taken: int,
) -> float:
    """One pass over the training split, after so many steps `taken`; returns the mean loss of its batches."""
    split, device = task.train, task.train.inputs.device
    order = data_order(seed, len(split))
    if split.lengths is not None:
        order = bucket(order, split.lengths, batch_size, seed=rng.fan_out(seed, "buckets"))
    total = torch.zeros((), device=device)
    net.train()
    leaves = net.leaves()
    steps = None if leaves is None else LeafSteps(leaves, optimizer)
    with seeded(drop_seed, device), nullcontext() if steps is None else steps.held():
        for inputs, targets in batches(split, order, batch_size):
            if task.noise is not None:
                inputs, targets = task.noise(inputs, targets)
            if steps is None:
                weights = net.weights()
                outputs = net.call(weights, inputs)
            else:
                steps.move()
                weights, outputs = steps.leaves.weights, steps.leaves.call(inputs)
            loss = task.loss(outputs, targets)
            zero_grad(optimizer)
            regularized(loss, weights, l2_weights).backward()
            if steps is None:
                optimizer_step(optimizer)
            else:
                steps()
            rates.after_step()
            taken += 1
            if isinstance(net, Redrawn):
                net.after_step(taken, optimizer)
            total += loss.detach() * len(inputs)
    return total.item() / len(split)


def data_order(seed: int, count: int) -> Tensor:
    """The order of the examples in the epoch of this seed: (count,) int64."""
    return torch.from_numpy(rng.permutation(rng.fan_out(seed, "order"), count))
