"""P at the size of large models: seconds and peak of its drawing, and a step beside one of full fine-tuning.

python -m benchmarks.size OneHot 500_000_000
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks.huge import peak_mb

DIM, DEPTH, BATCH, TURNS = 1000, 20, 8, 3


def measure(name: str, full_dim: int) -> dict[str, Any]:
    """Of a projection class: seconds, and bytes a weight; each step's median of a few turns, both with fused Adam."""
    kind, width = getattr(intrinsic, name), round((full_dim / DEPTH) ** 0.5)
    _steps(_net(kind, 10), torch.ones(BATCH, 10))  # compiles
    kind(DIM, 1 << 21, seed=1)  # what draws, too
    model = _layers(width)
    before, start = _forget(), time.perf_counter()
    net = intrinsic.Subspace(model, projection=kind, dim=DIM)
    found = {"full_dim": net.full_dim, "drawn_seconds": time.perf_counter() - start}
    found["drawn_bytes"] = (peak_mb() * 1e6 - before) / net.full_dim
    weights = [nn.Parameter(parameter.detach()) for parameter in model.parameters()]  # the same memory
    full, x = _layers(1, weights), torch.randn(BATCH, width)
    steps, seconds = [_steps(net, x), _steps(full, x)], list[list[float]]([[], []])
    for _ in range(TURNS):
        for step, times in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    subspace, whole = (sorted(times)[TURNS // 2] for times in seconds)
    return {**found, "step_seconds": subspace, "full_step_seconds": whole, "ratio": subspace / whole}


def _net(kind: Any, width: int) -> nn.Module:
    return intrinsic.Subspace(_layers(width), projection=kind, dim=100)


def _layers(width: int, weights: list[nn.Parameter] | None = None) -> nn.Module:
    layers = [nn.Linear(width, width, bias=False) for _ in range(DEPTH)]
    for layer, weight in zip(layers, weights or (), strict=bool(weights)):
        layer.weight = weight
    return nn.Sequential(*layers)


def _steps(net: nn.Module, x: torch.Tensor) -> Any:
    optimizer = torch.optim.Adam(net.parameters(), fused=True)

    def step() -> None:
        net(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    return step


def _forget() -> float:
    """Bytes that the process has now, after which its peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb() * 1e6


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
