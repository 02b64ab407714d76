"""The parts of a step and their times, measured inside steps that run, caches as they are then."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F

import intrinsic
from benchmarks.projections import projections
from benchmarks.step import LR, make_data
from benchmarks.steps import NETWORKS

NETWORK, DIM, TURNS, STEPS = "MLP 784-200-200-10", 750, 20, 20


def measure(device: torch.device) -> Iterator[dict[str, Any]]:
    """One row for full training and for each projection: medians in microseconds, steps of all taken in turns."""
    times: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("full", *projections())}
    steps = {name: _stepper(name, device, times[name]) for name in times}
    for turn in range(TURNS + 1):
        for name, step in steps.items():
            for _ in range(STEPS if name != "dense" else STEPS // 4):
                step()
            if turn == 0:  # compiles, allocates
                times[name].clear()
    for name, parts in times.items():
        yield {"projection": name, **{part: 1e6 * statistics.median(values) for part, values in parts.items()}}


def _stepper(name: str, device: torch.device, times: dict[str, list[float]]) -> Callable[[], None]:
    model = NETWORKS[NETWORK]().to(device)
    options: dict[str, Any] = {} if name == "full" else {"projection": projections()[name], "dim": DIM}
    net = intrinsic.Subspace(model, **options)
    inputs, targets = make_data(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)

    def product(*arguments: Any, multiply: Callable[..., Any] = net.projection.multiply_pieces, **options: Any) -> Any:
        start = time.perf_counter()
        result = multiply(*arguments, **options)
        times["of which Pᵀ g"].append(time.perf_counter() - start)
        return result

    net.projection.multiply_pieces = product  # type: ignore[method-assign]

    def step() -> None:
        marks = [time.perf_counter()]

        def mark() -> None:
            if device.type == "cuda":
                torch.cuda.synchronize()
            marks.append(time.perf_counter())

        weights = net.weights()
        mark()
        loss = F.cross_entropy(net.call(weights, inputs), targets)
        mark()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        mark()
        optimizer.step()
        mark()
        names = ("θ₀ + P z", "forward and loss", "backward", "Adam")
        for part, (start, end) in zip(names, pairwise(marks), strict=True):
            times[part].append(end - start)

    return step
