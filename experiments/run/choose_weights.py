"""The weights that `select_by=gradient` trains."""

import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.subspace import Subspace
from intrinsic.tasks.batches import batches
from intrinsic.tasks.task import Task
from intrinsic.training.fit import data_order


def choose_weights(net: Subspace, task: Task, *, by: str, count: int, batch_size: int, seed: int) -> list[int]:
    """Places in theta of the dim weights with the largest gradients, rising: |sum of dL / d theta over some batches|.

    At theta_0 and in evaluation mode, of training examples alone. Of equal ones the first.

    Args:
        net: whose space and dim they are; it is left as it was.
        task: of the training split.
        by: "gradient".
        count: batches.
        batch_size: examples in each.
        seed: of which examples.

    Raises:
        UserError: for another way, a task without a loss, and P for each tensor.
    Source: Bhardwaj et al. 2024, SHiRA, arXiv:2406.13175, section 3.1 (SHiRA-Grad).
    """
    if by != "gradient":
        raise UserError(f"need select_by=random or gradient, got select_by={by}")
    integer("select_batches", count, 1)
    if net.granularity != "global":
        raise UserError(f"select_by=gradient chooses among all weights, got granularity={net.granularity}: use global")
    if task.environment is not None:
        raise UserError(f"{task.environment.name} has returns, and no loss to differentiate: use select_by=random")
    order = data_order(rng.fan_out(seed, "select"), len(task.train))[: count * batch_size]
    total: Tensor | None = None
    mode = net.training
    net.eval()
    for inputs, targets in batches(task.train, order, batch_size):
        weights = net.weights()
        loss = task.loss(net.call(weights, inputs), targets)
        found = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        gradient = torch.cat([part.reshape(-1).double() for part in found])
        total = gradient if total is None else total + gradient
    net.train(mode)
    assert total is not None
    places = total.abs().cpu().sort(descending=True, stable=True).indices[: net.dim]
    return [int(place) for place in places.sort().values]
