"""The check of seeds that a run has no use for: their values would be as many equal runs."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from experiments.run.setup import Setup
from intrinsic.errors import UserError
from intrinsic.files.seed_of import SOURCES, own_seeds
from intrinsic.subspace import Subspace
from intrinsic.tasks.batches import batches
from intrinsic.tasks.task import Task
from intrinsic.training.grpo import GRPO
from intrinsic.training.seeded import seeded


def check_seeds(setup: Setup) -> None:
    """Check that what has a seed by itself draws something, and that `seed`, unless it is 0, is left something to seed.

    Whether training draws dropout is tried, where it matters, by two examples; the net is left as it was.

    Raises:
        UserError: for a seed that would change nothing.
    """
    own = own_seeds(setup.config)
    if not own:
        return
    idle = {}  # sources that draw nothing, and why
    if setup.net.identity:
        idle["projection"] = "projection=identity: use another projection, or null"
    if not setup.draws_init:
        idle["init"] = "theta_0 that init brings along (see init.source.seed): use init=scratch, or null"
    left = {"init", "projection", "order"} - own.keys() - idle.keys()
    if ("dropout" in own or (setup.seed and not left)) and not _drops(setup.net, setup.task, setup.optimizer):
        idle["dropout"] = "a model without dropout: set it, or use null"
    for source in SOURCES:
        if source in own and source in idle:
            raise UserError(f"seeds.{source}={own[source]} does nothing with {idle[source]}")
    if setup.seed and not set(SOURCES) - own.keys() - idle.keys():
        names = ", ".join(f"seeds.{source}" for source in own)
        raise UserError(f"seed={setup.seed} does nothing beside {names}: leave it out, or one of these")


def _drops(net: Subspace, task: Task, optimizer: Optimizer) -> bool:
    """Whether a pass in training mode draws from torch's random state; episodes and answers do."""
    if task.environment is not None or isinstance(optimizer, GRPO):
        return True
    device, mode = task.train.inputs.device, net.training
    buffers = {name: buffer.clone() for name, buffer in net.model.named_buffers()}
    inputs, targets = next(batches(task.train, torch.arange(min(2, len(task.train))), 2))
    with torch.no_grad(), seeded(0, device):
        before = _state(device)
        if task.noise is not None:
            inputs, targets = task.noise(inputs, targets)
        net.train()(inputs)
        drawn = not torch.equal(before, _state(device))
        for name, buffer in net.model.named_buffers():
            buffer.copy_(buffers[name])
    net.train(mode)
    return drawn


def _state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
