"""The training loop of an evolution strategy."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.tasks.batches import batches
from intrinsic.tasks.task import Task
from intrinsic.training.evolution_strategy import EvolutionStrategy
from intrinsic.training.learning_rates import LearningRates
from intrinsic.training.replicas import Replicas
from intrinsic.training.seeded import seeded

BATCH_NORMS = nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm


def evolve(
    net: Subspace,
    task: Task,
    optimizer: EvolutionStrategy,
    rates: LearningRates,
    batch_size: int,
    order: Tensor,
    seed: int,
) -> float:
    """One pass over the training split, a step for each batch, which all members of the population see.

    They are computed at once, theta_0 + P (z + sigma e) in one model for each, without gradients. Returns the mean over
    steps and members of the loss, or of minus the return.

    Args:
        net: what is trained.
        task: examples, or episodes.
        optimizer: over `net.parameters()`.
        rates: of it.
        batch_size: examples, or episodes, a step.
        order: of the training split.
        seed: of members, dropout and noise.

    Raises:
        UserError: for a model with batch normalisation, whose statistics would be those of all members.
    """
    if any(isinstance(module, BATCH_NORMS) for module in net.model.modules()):
        raise UserError("optim=es has a population in place of a net, and batch normalisation has statistics of one: "
                        "use another model")  # fmt: skip
    population, device = Replicas([net] * optimizer.population), task.train.inputs.device
    trained = dict(net.named_parameters())
    total, steps = 0.0, 0
    net.train()
    with torch.no_grad(), seeded(seed, device):
        for inputs, targets in batches(task.train, order, batch_size):
            if task.noise is not None:
                inputs, targets = task.noise(inputs, targets)
            members = rng.fan_out(seed, "members", steps)
            population.place(optimizer.members(trained, members))
            scores = _scores(population, task, inputs, targets)
            optimizer.evolve(trained, members, scores)
            rates.after_step()
            total, steps = total - scores.mean().item(), steps + 1
    return total / steps


def _scores(population: Replicas, task: Task, inputs: Tensor, targets: Tensor) -> Tensor:
    """Minus the loss, or the mean return, of each member: (population,)."""
    count = len(population)
    if task.environment is not None:
        policies = population.models()

        def policy(observations: Tensor) -> Tensor:
            return policies(observations.unflatten(0, (count, -1))).flatten(0, 1)

        return task.environment.returns(policy, inputs.repeat(count)).view(count, -1).mean(1)

    def loss(call: Callable[..., Tensor], weights: object, inputs: Tensor, targets: Tensor) -> Tensor:
        return task.loss(call(inputs), targets)

    alike: Tensor = -population.map(loss, *(each.expand(count, *each.shape) for each in (inputs, targets)))
    return alike
