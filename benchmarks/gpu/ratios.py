"""Products and steps at the sizes that fill a GPU: P z and P^T g against a copy, a subspace's step against the full."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks.gpu.attempt import attempt
from benchmarks.gpu.enlarged import REPEATED, enlarged
from benchmarks.products import time_products
from benchmarks.projections import projections
from benchmarks.step import LR
from benchmarks.timing import ratio
from intrinsic.projections.base import Projection

DIM, BATCH = {"full": 1000, "tiny": 10}, 128
DRAWN = {"full": 10**7 + 10**6, "tiny": 1 << 13}  # weights above which P is not drawn in full
# by D: the widths of a network without biases that has about so many weights
WIDTHS = {
    "full": {10**7: [3162] * 2, 10**8: [10_000] * 2, 10**9: [10_000] * 11},
    "tiny": {10**4: [100] * 2, 10**5: [100] * 11},
}
DENSE = 10**10  # entries from which the dense projection is left out: a product draws each of them
TURNS = {"full": 7, "tiny": 1}


def measure(device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    """One row for each D and projection."""
    for widths in WIDTHS[scale].values():
        yield from _sizes(widths, device, scale)


def _sizes(widths: list[int], device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    full_dim, dim = sum(a * b for a, b in pairwise(widths)), DIM[scale]
    full = _stepper(intrinsic.Subspace(network(widths, device)), device)
    for name in projections():
        if name != "dense" or dim * full_dim < DENSE:
            case = {"projection": name, "dim": dim, "full_dim": full_dim}
            yield attempt(case, partial(_row, name, dim, widths, full, device, scale), device)


def _row(
    name: str, dim: int, widths: list[int], full: Callable[[], None], device: torch.device, scale: str
) -> dict[str, Any]:
    def make(dim: int, full_dim: int, *, seed: int) -> Projection:
        return enlarged(projections()[name], dim, full_dim, device, DRAWN[scale])

    turns = TURNS[scale]
    net = intrinsic.Subspace(network(widths, device), projection=make, dim=dim)
    own = projections()[name] not in REPEATED or net.full_dim <= DRAWN[scale]
    row: dict[str, Any] = {"own P": own}
    row |= time_products(net.projection, device, turns=turns)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    row["step"], seconds = ratio(_stepper(net, device), full, turns=turns, done=lambda: wait(device))
    peak = {"step_peak_mb": torch.cuda.max_memory_allocated(device) / 1e6} if device.type == "cuda" else {}
    return row | {"full_step_ms": 1e3 * seconds, **peak}


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def network(widths: list[int], device: torch.device) -> nn.Module:
    """Linear layers without biases."""
    with device:
        return nn.Sequential(*(nn.Linear(*pair, bias=False) for pair in pairwise(widths)))


def _stepper(net: nn.Module, device: torch.device) -> Callable[[], None]:
    """Forward, mean square, backward, fused Adam."""
    first = next(module for module in net.modules() if isinstance(module, nn.Linear))
    x = torch.randn(BATCH, first.in_features, device=device)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        net(x).square().mean().backward()
        optimizer.step()

    return step
