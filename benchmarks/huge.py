"""One step of the dense projection with D = 10^7, d = 10^4: a float32 matrix would take 400 GB."""

import json
import re
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import intrinsic

DIM, WIDTH = 10_000, 3_162  # WIDTH**2 weights, about 10^7


def measure() -> dict[str, Any]:
    """Seconds of a step, and the peak memory of this process beyond what it took with the model alone."""
    model = nn.Linear(WIDTH, WIDTH, bias=False)
    x = torch.randn(8, WIDTH)
    model(x).square().mean().backward()  # the model with its gradient
    model.weight.grad = None
    before = peak_mb()
    net = intrinsic.Subspace(model, projection=intrinsic.Dense, dim=DIM)
    optimizer = torch.optim.Adam(net.parameters())
    times = []
    for _ in range(2):  # the first one compiles the kernels
        start = time.perf_counter()
        net(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
    return {
        "dim": DIM,
        "full_dim": net.full_dim,
        "step_seconds": times[-1],
        "peak_mb_beyond_model": peak_mb() - before,
    }


def peak_mb() -> float:
    """The most memory that this program has had, of Linux; what getrusage tells begins with its parent's."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(measure()))
