"""P at the size of large models: seconds and peak of its drawing, and a step beside one of full fine-tuning.

python -m benchmarks.size                        prints a line of JSON for each of CASES
python -m benchmarks.size OneHot 500_000_000     for one case, with the model in float32 (or: bfloat16)
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks.huge import peak_mb

DIM, DEPTH, BATCH, TURNS = 1000, 20, 8, 9
CASES = (
    ("OneHot", 124_000_000, "float32"), ("OneHot", 124_000_000, "bfloat16"), ("Fastfood", 124_000_000, "float32"),
    ("OneHot", 500_000_000, "float32"),
)  # fmt: skip
KEYS = ("projection", "dim", "full_dim", "dtype")


def measure() -> Iterator[dict[str, Any]]:
    """One row for each of CASES, in a process of its own: memory that one case leaves serves the next one."""
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.size", *map(str, case)]
        yield json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)  # noqa: S603


def measure_one(name: str, full_dim: int, dtype: str = "float32") -> dict[str, Any]:
    """Of a projection class: seconds of drawing P, bytes a weight; a step's ratio is the median over pairs of steps.

    `drawn_bytes` are the most that there are while P is drawn, beside the model; `step_bytes` the most of a step, the
    model and P included. Both steps are by fused Adam.
    """
    kind, width = getattr(intrinsic, name), round((full_dim / DEPTH) ** 0.5)
    _steps(_net(kind, 10), torch.ones(BATCH, 10))  # compiles
    kind(DIM, 1 << 21, seed=1)  # what draws, too
    empty = _forget()
    model, x = _layers(width).to(getattr(torch, dtype)), torch.randn(BATCH, width, dtype=getattr(torch, dtype))
    before, start = _forget(), time.perf_counter()
    net = intrinsic.Subspace(model, projection=kind, dim=DIM)
    found = {"projection": name, "dim": DIM, "full_dim": net.full_dim, "dtype": dtype}
    found["drawn_seconds"] = time.perf_counter() - start
    found["drawn_bytes"] = (peak_mb() * 1e6 - before) / net.full_dim
    _forget()
    step = _steps(net, x)
    found["step_bytes"] = (peak_mb() * 1e6 - empty) / net.full_dim
    full = _layers(1, [nn.Parameter(parameter.detach()) for parameter in model.parameters()])  # the same memory
    pairs = _in_turns(step, _steps(full, x))
    return {
        **found,
        "ratio": statistics.median(one / other for one, other in pairs),
        "full_step_seconds": statistics.median(other for _, other in pairs),
    }


def _in_turns(one: Callable[[], None], other: Callable[[], None]) -> list[tuple[float, float]]:
    """The seconds of both in each turn, every second turn the other one first."""
    pairs = []
    for turn in range(TURNS):
        seconds = {}
        for step in (one, other) if turn % 2 else (other, one):
            start = time.perf_counter()
            step()
            seconds[step] = time.perf_counter() - start
        pairs.append((seconds[one], seconds[other]))
    return pairs


def _net(kind: Any, width: int) -> nn.Module:
    return intrinsic.Subspace(_layers(width), projection=kind, dim=100)


def _layers(width: int, weights: list[nn.Parameter] | None = None) -> nn.Module:
    layers = [nn.Linear(width, width, bias=False) for _ in range(DEPTH)]
    for layer, weight in zip(layers, weights or (), strict=bool(weights)):
        layer.weight = weight
    return nn.Sequential(*layers)


def _steps(net: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(net.parameters(), fused=True)

    def step() -> None:
        net(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(2):  # the first one makes the optimiser's state
        step()
    return step


def _forget() -> float:
    """Bytes that the process has now, after which its peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb() * 1e6


if __name__ == "__main__":
    for row in [measure_one(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])] if sys.argv[1:] else measure():
        print(json.dumps(row), flush=True)
