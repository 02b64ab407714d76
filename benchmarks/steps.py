"""The step in a subspace as a ratio to the full step: `python -m benchmarks.steps` prints a line of JSON a row."""

import json
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks.projections import projections
from benchmarks.step import CLASSES, SHAPE, make_step
from benchmarks.timing import TURNS, in_turns, ratio
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP 784-200-200-10": lambda: MLP(SHAPE, CLASSES, depth=2, width=200, dropout=0.0),
    "LeNet": lambda: LeNet(SHAPE, CLASSES),
}
DIMS = (100, 750, 9000)
KEYS = ("network", "projection", "dim", "full_dim", "bytes")


def measure(device: torch.device) -> Iterator[dict[str, Any]]:
    """One row for each network, projection and dim: ratios of the step, with torch's fused Adam and its default one.

    With the fused one also where `intrinsic.optimizer_step` takes the step of z.
    """
    for network, make in NETWORKS.items():
        full, full_default = (make_step(make().to(device), fused=fused) for fused in (True, False))
        for name, kind in projections().items():
            for dim in DIMS:
                nets = [intrinsic.Subspace(make().to(device), projection=kind, dim=dim) for _ in range(3)]
                lean, loop = make_step(nets[0], fused=True, lean=True), make_step(nets[1], fused=True)
                turns = in_turns(lean, loop, full, turns=TURNS)
                default, baseline_default = ratio(make_step(nets[2], fused=False), full_default)
                yield {
                    "network": network,
                    "projection": name,
                    "dim": dim,
                    "full_dim": nets[0].full_dim,
                    "bytes": nets[0].projection.nbytes,
                    "lean_loop": statistics.median(a / b for a, _, b in turns),
                    "own_loop": statistics.median(a / b for _, a, b in turns),
                    "default_adam": default,
                    "full_step_ms": 1e3 * statistics.median(b for *_, b in turns),
                    "full_step_default_ms": 1e3 * baseline_default,
                }


if __name__ == "__main__":
    for row in measure(torch.device("cuda" if torch.cuda.is_available() else "cpu")):
        print(json.dumps(row), flush=True)
