"""A whole step in a subspace captured as a CUDA graph, against the same step as Python runs it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks.gpu.attempt import attempt
from benchmarks.gpu.ratios import wait
from benchmarks.projections import projections
from benchmarks.step import make_data
from benchmarks.timing import ratio
from intrinsic.models.mlp import MLP

DIM, WIDTH = {"full": 750, "tiny": 10}, {"full": 200, "tiny": 8}
WARM_UP, STEPS, LR = 3, 20, 1e-3
TURNS = {"full": 7, "tiny": 1}


def measure(device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    """One row for the full step and one for each projection."""
    for name in ("full", *projections()):
        case = {"projection": name, "dim": None if name == "full" else DIM[scale]}
        yield attempt(case, partial(_row, name, device, scale), device)


def _row(name: str, device: torch.device, scale: str) -> dict[str, Any]:
    """Ratio of times, and whether both have trained the same numbers to the bit."""
    (net, step), (other, second) = _made(name, device, scale), _made(name, device, scale)
    replay = capture(second, device)
    for _ in range(WARM_UP + STEPS):
        step()
    for _ in range(STEPS):
        replay()
    pairs = list(zip(net.parameters(), other.parameters(), strict=True))
    deviation = max(float((a - b).detach().abs().max() / a.detach().abs().max()) for a, b in pairs)
    graph, seconds = ratio(replay, step, turns=TURNS[scale], done=lambda: wait(device))
    row = {"full_dim": net.full_dim, "graph": graph, "eager_ms": 1e3 * seconds, "graph_ms": 1e3 * seconds * graph}
    return {**row, "deviation": deviation, "equal": deviation == 0}


def capture(step: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """What runs a step from its graph, after WARM_UP of them; on a CPU the step itself."""
    if device.type != "cuda":
        for _ in range(WARM_UP):
            step()
        return step
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):  # proves and compiles kernels, makes buffers and the optimiser's state
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def _made(name: str, device: torch.device, scale: str) -> tuple[intrinsic.Subspace, Callable[[], object]]:
    torch.manual_seed(0)
    inputs, targets = make_data(device)
    model = MLP(inputs.shape[1:], 10, depth=2, width=WIDTH[scale], dropout=0.0).to(device)
    options = {} if name == "full" else {"projection": projections()[name], "dim": DIM[scale]}
    net = intrinsic.Subspace(model, **options)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True, capturable=device.type == "cuda")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()

    return net, step
