"""One step of training, to be measured, and its time."""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.optim import Optimizer

from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.evolution_strategy import EvolutionStrategy
from intrinsic.training.grpo import GRPO
from intrinsic.training.regularized import regularized

Batch = tuple[Tensor, Tensor]
OTHERS = {  # optimisers that learn otherwise
    GRPO: "optim=grpo takes its steps on answers",
    EvolutionStrategy: "optim=es takes its steps by a population",
    DeepQLearning: "optim=dqn takes its steps on episodes",
}


def training_step(
    net: Subspace, loss: Callable[..., Tensor], batch: Batch, optimizer: Optimizer, l2: float = 0.0
) -> Callable[[], None]:
    """What `intrinsic.training.fit` does with each batch, as a call that does it with this one.

    Args:
        net: what is trained, in training mode.
        loss: of outputs and targets.
        batch: inputs and targets, on the net's device.
        optimizer: of the net's parameters.
        l2: see `intrinsic.training.fit`.

    Raises:
        UserError: for an optimiser that takes other steps.
    """
    other = next((of for kind, of in OTHERS.items() if isinstance(optimizer, kind)), None)
    if other is not None:
        raise UserError(f"a step on examples is asked for, and {other}: run it for an epoch, epochs=1")

    def step() -> None:
        weights = net.weights()
        value = loss(net.call(weights, batch[0]), batch[1])
        optimizer.zero_grad(set_to_none=True)
        regularized(value, weights, l2).backward()
        optimizer.step()

    return step


def step_seconds(
    step: Callable[[], object], device: torch.device, *, warm: int = 1, steps: int = 3, of_cpu: bool = False
) -> float:
    """The median of `steps` calls, in seconds, after `warm` that compile and allocate.

    Args:
        step: a step.
        device: that it takes place on.
        warm: calls that are not timed.
        steps: calls that are.
        of_cpu: of all of this process's threads, and not by the clock: what other processes do is not in it.
    """
    clock = time.process_time if of_cpu else time.perf_counter
    seconds = []
    for _ in range(warm + steps):
        began = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(clock() - began)
    return median(seconds[warm:])
