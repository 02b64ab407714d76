"""What a run would train and need, from its config."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments.run.failure import out_of_memory
from experiments.run.setup import Setup
from experiments.step.coverage import ModuleGroup, coverage
from experiments.step.step_costs import step_costs
from experiments.step.training_step import Batch, step_seconds, training_step
from intrinsic.errors import UserError
from intrinsic.subspace.checkpoint import stored_bytes
from intrinsic.tasks.batches import batches
from intrinsic.terminal.one_line import one_line


@dataclass(frozen=True)
class Description:
    """What a run trains, and what it needs.

    Args:
        covered: the modules, see `coverage`.
        numbers: as in a record: trained, dim, full_dim, head, stored_bytes; and `parameters`, of the model with what
            the space has added.
        batch: shape of the inputs of the largest batch.
        bytes: of what is there between two steps: `model` (frozen weights and buffers), `trained`, `projection` (P, as
            it is held), `planned` (P, as its class plans it), `kept` (theta_0 + P z and the like, from step to step),
            `optimizer`, `batch`; of a step: `gradients` (of what is trained), `activations` (kept for the backward
            pass), `peak` (beyond what is there between two); and `total`, at the peak.
        flops: of a step, forward and backward, without those of P.
        seconds: of a step: the median of three after one.
        steps: in an epoch.
    """

    covered: list[ModuleGroup]
    numbers: dict[str, int]
    batch: list[int]
    bytes: dict[str, int]
    flops: dict[str, int]
    seconds: float
    steps: int


def describe(config: dict[str, Any], *, of_cpu: bool = False) -> Description:
    """Build what a resolved config stands for, and take some steps.

    Args:
        config: resolved.
        of_cpu: see `step_seconds`.

    Raises:
        UserError: as a run of this config, and if a step does not fit into memory.
    """
    setup = Setup(config)
    setup.check()
    if config["init"]["source"] not in (None, "zero", "hub"):
        _ = setup.source_task  # its mistakes
        setup = Setup({**config, "init": {"source": None}})
    try:
        return _described(setup, of_cpu)
    except Exception as error:
        if not out_of_memory(error):
            raise
        line = one_line(" ".join(f"{type(error).__name__}: {error}".split()))
        raise UserError(f"out of memory ({line}): use a smaller model or batch_size") from None


def _described(setup: Setup, of_cpu: bool) -> Description:
    if setup.task.environment is not None:
        raise UserError("describe takes steps of gradients, and episodes have none: run it for an epoch, epochs=1")
    net, loss, size = setup.net, setup.task.loss, setup.config["batch_size"]
    covered, numbers = coverage(net), {**net.count(), "stored_bytes": stored_bytes(net)}
    numbers["parameters"] = sum(p.numel() for p in net.model.parameters())
    batch = _largest_batch(setup)
    with torch.random.fork_rng(devices=[setup.device] if setup.device.type == "cuda" else []):
        torch.manual_seed(0)  # of dropout
        costs = step_costs(net, loss, batch, setup.make_optimizer, setup.l2_weights, copied=False)
        step = training_step(net, loss, batch, setup.optimizer, setup.l2_weights)
        seconds = step_seconds(step, setup.device, of_cpu=of_cpu)
    of = costs["bytes"]
    trained, projection = _bytes(net.parameters()), _bytes(net.projection.fixed_tensors().values())
    own = _bytes(net.parameters(recurse=False))
    parts = {
        "model": of["weights"] + own - trained,
        "trained": trained,
        "projection": projection,
        "kept": of["method"] - own - projection,
        "optimizer": of["optimizer"],
        "batch": _bytes(batch),
    }
    total = sum(parts.values()) + costs["peak"]["measured"]
    more = {"planned": net.projection.nbytes, "gradients": of["gradients"], "activations": of["saved"]}
    steps = -(-len(setup.task.train) // size)
    found = {**parts, **more, "peak": costs["peak"]["measured"], "total": total}
    return Description(covered, numbers, list(batch[0].shape), found, costs["flops"], seconds, steps)


def _largest_batch(setup: Setup) -> Batch:
    """The training examples of most tokens; where inputs are all alike, the first."""
    split, size = setup.task.train, setup.config["batch_size"]
    order = torch.arange(len(split))
    if split.lengths is not None:
        order = split.lengths.argsort(descending=True, stable=True)
    batch: Batch = next(batches(split, order, size))
    return batch if setup.task.noise is None else setup.task.noise(*batch)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
