"""What a training step in a subspace costs, as a ratio to the full step: `python -m benchmarks.steps`.

Both steps are timed in turns, in blocks, and the ratio is the median over the turns of the ratio within a turn: what
else the machine does hits both. P z and P^T g are compared in the same way with copying D floats. Writes
benchmarks/RESULTS.md and benchmarks/results.json.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP
from intrinsic.projections.base import Projection

HERE = Path(__file__).parent
BATCH, SHAPE, CLASSES = 128, (1, 28, 28), 10
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP 784-200-200-10": lambda: MLP(SHAPE, CLASSES, depth=2, width=200, dropout=0.0),
    "LeNet": lambda: LeNet(SHAPE, CLASSES),
}
PROJECTIONS = ("Dense", "Sparse", "Fastfood", "Kronecker", "OneHot")
DIMS = (100, 750, 9000)
LARGEST = 2e9  # bytes of P above which a projection is left out
TURNS, SECONDS = 15, 0.06  # per turn and side


def stepper(net: intrinsic.Subspace) -> Callable[[], object]:
    """One step of Adam on a fixed batch, as the training loop takes it."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(BATCH, *SHAPE, generator=generator)
    targets = torch.randint(CLASSES, (BATCH,), generator=generator)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> None:
        loss = F.cross_entropy(net(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def ratio(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median over turns of seconds(one) / seconds(other), and the median seconds of `other`."""
    repeats = []
    for call in (one, other):
        call()
        start = time.perf_counter()
        call()
        repeats.append(max(1, round(SECONDS / max(time.perf_counter() - start, 1e-7))))
    turns = [[seconds(call, count) for call, count in zip((one, other), repeats, strict=True)] for _ in range(TURNS)]
    return statistics.median(a / b for a, b in turns), statistics.median(b for _, b in turns)


def seconds(call: Callable[[], object], count: int) -> float:
    """Mean seconds of a call."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def products(projection: Projection) -> tuple[float, float]:
    """Seconds of P z and of P^T g, each as a ratio to copying as many floats as there are weights."""
    z, g, target = torch.randn(projection.dim), torch.randn(projection.full_dim), torch.empty(projection.full_dim)

    def copy() -> None:
        target.copy_(g)

    with torch.no_grad():
        return ratio(lambda: projection(z), copy)[0], ratio(lambda: projection.adjoint(g), copy)[0]


def measure() -> list[dict[str, Any]]:
    """One row for each network, projection and dim."""
    rows = []
    for network, make in NETWORKS.items():
        full = stepper(intrinsic.Subspace(make()))
        for name in PROJECTIONS:
            kind = getattr(intrinsic, name)
            for dim in DIMS:
                full_dim = sum(p.numel() for p in make().parameters())
                if kind.plan(dim, full_dim) > LARGEST:
                    continue
                net = intrinsic.Subspace(make(), projection=kind, dim=dim)
                step, baseline = ratio(stepper(net), full)
                forward, adjoint = products(net.projection)
                row = {"network": network, "projection": name, "dim": dim, "full_dim": full_dim, "step": step}
                row |= {"full_step_ms": 1e3 * baseline, "forward": forward, "adjoint": adjoint}
                rows.append({**row, "bytes": kind.plan(dim, full_dim)})
                print(f"{network} {name} dim={dim}: step {step:.2f} x full", file=sys.stderr, flush=True)
    return rows


def report(rows: list[dict[str, Any]], machine: str) -> str:
    """The table in Markdown."""
    lines = [
        "# Benchmarks",
        "",
        f"`make bench`; batch {BATCH}, float32, Adam; medians of {TURNS} turns. {machine}.",
        "",
        "| network | projection | d | step ÷ full step | P z ÷ copy of D | Pᵀ g ÷ copy of D | P in MB |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['network']} | {r['projection'].lower()} | {r['dim']:,} | {r['step']:.2f} | {r['forward']:.1f} "
        f"| {r['adjoint']:.1f} | {r['bytes'] / 1e6:.1f} |"
        for r in rows
    ]
    steps = {r["network"]: r["full_step_ms"] for r in rows}
    lines += ["", "Full step: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in steps.items()) + "."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write both files."""
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    machine += f", Python {platform.python_version()}"
    rows = measure()
    text = report(rows, machine)
    (HERE / "results.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
