"""The cost of one training step of a net, counted and measured."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

from experiments.step.allocated_bytes import allocated_bytes
from experiments.step.backward_graph import backward_graph
from experiments.step.backward_peak import backward_peak
from experiments.step.step_trace import StepTrace, tensors
from experiments.step.training_step import Batch, training_step
from intrinsic.subspace import Subspace
from intrinsic.training.regularized import regularized

WARM = 1  # steps between the first, which compiles and allocates, and the one that is measured


def step_costs(
    net: Subspace,
    loss: Callable[..., Tensor],
    batch: Batch,
    make: Callable[..., Optimizer],
    l2: float = 0.0,
    *,
    copied: bool = True,
) -> dict[str, Any]:
    """Count one training step.

    - `flops`: of matrix products, convolutions and attention (2 m n k each), forward and backward; not those of P.
    - `bytes`: `weights` of the model, `method` (P, z, and buffers that stay between steps), `optimizer` (its state),
      `gradients` (of what is trained), `saved` (activations that the forward pass keeps for the backward pass, each
      storage once, without weights and batch).
    - `peak`: bytes beyond those that are there before and after the step (weights, `method`, optimiser, batch):
      `measured` by the allocator over the whole step, `predicted` from shapes and the graph, and its parts at that
      moment: saved, gradients, working (gradients of activations in flight, or activations in use; what products with
      P take inside is found by one of each).
    - `graph`: see `backward_graph`.

    Args:
        net: what is trained.
        loss: of outputs and targets.
        batch: inputs and targets, on the net's device.
        make: an optimiser of parameters.
        l2: see `intrinsic.training.fit`.
        copied: of a copy of the net, whose trained numbers stay. False: it is trained a little, and in training mode.
    """
    device = batch[0].device
    net = (copy.deepcopy(net) if copied else net).train()
    optimizer = make(net.parameters())

    step = training_step(net, loss, batch, optimizer, l2)
    _, kept = allocated_bytes(step, device)
    for _ in range(WARM):
        step()
    moments = sum(_bytes(t) for state in optimizer.state.values() for t in state.values() if isinstance(t, Tensor))
    gradients = sum(_bytes(p.grad) for p in net.parameters() if p.grad is not None)
    optimizer.zero_grad(set_to_none=True)
    measured, _ = allocated_bytes(step, device)
    optimizer.zero_grad(set_to_none=True)

    weights: dict[str, Tensor] = {}
    ahead, _ = allocated_bytes(lambda: weights.update(net.weights()), device)
    collecting = _products(weights.values(), list(net.parameters(recurse=False)))
    fixed = [*net.buffers(), *net.projection.fixed_tensors().values()]
    resident = [*net.model.parameters(), *net.parameters(), *fixed, *weights.values(), *batch]
    with StepTrace(net.model, resident) as trace:
        value = regularized(loss(net.call(weights, batch[0]), batch[1]), weights, l2)
        assert value.grad_fn is not None
        parts = backward_peak(value.grad_fn, trace.resident, collecting)
        projected = [name for name, w in weights.items() if w.grad_fn is not None]
        graph = backward_graph(value, trace, net.model, projected, collecting)
        for other in (trace.peak, {"saved": 0, "working": ahead}):
            if sum(other.values()) > sum(parts.values()):
                parts = {**other, "gradients": 0}
        saved = sum(trace.saved.values())
    del value
    model = sum(_bytes(t) for t in (*net.model.parameters(), *net.model.buffers()))
    return {
        "flops": count_flops(net, weights, loss, batch),
        "bytes": {
            "weights": model,
            "method": sum(_bytes(t) for t in (*net.projection.fixed_tensors().values(), *net.parameters(recurse=False)))
            + max(0, kept - moments - gradients),
            "optimizer": moments,
            "gradients": gradients,
            "saved": saved,
        },
        "peak": {"measured": measured, "predicted": sum(parts.values()), **parts},
        "graph": graph,
    }


def count_flops(net: Subspace, weights: Mapping[str, Tensor], loss: Any, batch: Batch) -> dict[str, int]:
    """2 m n k for each product (m, k) (k, n), forward and backward; theta_0 + P z is given, and P^T g left out."""
    given = {name: w.detach().requires_grad_() if w.grad_fn is not None else w for name, w in weights.items()}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        value = loss(net.call(given, batch[0]), batch[1])
        ahead = counter.get_total_flops()
        value.backward()
    net.zero_grad(set_to_none=True)
    return {"forward": ahead, "backward": counter.get_total_flops() - ahead}


def _products(weights: Iterable[Tensor], coordinates: Sequence[Tensor]) -> dict[Node, int]:
    """The nodes that take the gradients of weights, and the bytes that each, given zeros, allocates and frees."""
    pieces: dict[Node, list[Tensor]] = {}
    for weight in weights:
        if weight.grad_fn is not None:
            pieces.setdefault(weight.grad_fn, []).append(weight)
    return {node: _inside(outputs, coordinates) for node, outputs in pieces.items()}


def _inside(weights: Sequence[Tensor], coordinates: Sequence[Tensor]) -> int:
    zeros, found = [torch.zeros_like(weight) for weight in weights], list[Tensor | None]()
    peak, _ = allocated_bytes(
        lambda: found.extend(torch.autograd.grad(weights, coordinates, zeros, retain_graph=True, allow_unused=True)),
        zeros[0].device,
    )
    return peak - sum(map(_bytes, tensors(found)))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
