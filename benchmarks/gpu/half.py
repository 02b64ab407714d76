"""A model in bfloat16 beside the same in float32: the most memory of a step, and its time."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

import intrinsic
from benchmarks.gpu.attempt import attempt
from benchmarks.gpu.enlarged import enlarged
from benchmarks.gpu.ratios import BATCH, network, wait
from benchmarks.projections import projections
from benchmarks.step import LR
from benchmarks.step_memory import step_peak_mb
from benchmarks.timing import ratio
from intrinsic.projections.base import Projection

DIM = {"full": 1000, "tiny": 10}
WIDTHS = {"full": [7072] * 3, "tiny": [100] * 3}  # 10^8 weights
DRAWN = {"full": 10**7, "tiny": 1 << 13}  # weights above which P is not drawn in full
TURNS = {"full": 5, "tiny": 1}
LEFT_OUT = "dense"  # a product draws 10^11 entries


def measure(device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    """One row for each projection."""
    for name in projections():
        if name != LEFT_OUT:
            yield attempt({"projection": name, "dim": DIM[scale]}, partial(_row, name, device, scale), device)


def _row(name: str, device: torch.device, scale: str) -> dict[str, Any]:
    def make(dim: int, full_dim: int, *, seed: int) -> Projection:
        return enlarged(projections()[name], dim, full_dim, device, DRAWN[scale])

    peaks, steps, memory, size = [], [], [], 0
    for dtype in (torch.float32, torch.bfloat16):
        before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        model = network(WIDTHS[scale], device).to(dtype)
        net = intrinsic.Subspace(model, projection=make, dim=DIM[scale])
        size = net.full_dim
        steps.append(_stepper(net, device))
        steps[-1]()  # compiles, allocates
        if device.type == "cuda":
            memory.append((torch.cuda.memory_allocated(device) - before) / 1e6)
        peaks.append(step_peak_mb(steps[-1], device))
    step, seconds = ratio(steps[1], steps[0], turns=TURNS[scale], done=lambda: wait(device))
    held = {"held_mb": memory[0], "held_half_mb": memory[1]} if memory else {"held_mb": 0.0, "held_half_mb": 0.0}
    less = held["held_half_mb"] + peaks[1] < held["held_mb"] + peaks[0]
    row = {"full_dim": size, **held, "step_mb": peaks[0], "step_half_mb": peaks[1]}
    return {**row, "less": less, "step": step, "float32_ms": 1e3 * seconds}


def _stepper(net: intrinsic.Subspace, device: torch.device) -> Any:
    dtype = next(iter(net.model.parameters())).dtype
    first = next(module for module in net.modules() if isinstance(module, torch.nn.Linear))
    x = torch.randn(BATCH, first.in_features, device=device, dtype=dtype)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        net(x).float().square().mean().backward()
        optimizer.step()

    return step
