"""The step in a subspace as a ratio to the full step."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import intrinsic
from benchmarks.projections import projections
from benchmarks.step import CLASSES, SHAPE, make_step
from benchmarks.timing import ratio
from intrinsic.models.lenet import LeNet
from intrinsic.models.mlp import MLP

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP 784-200-200-10": lambda: MLP(SHAPE, CLASSES, depth=2, width=200, dropout=0.0),
    "LeNet": lambda: LeNet(SHAPE, CLASSES),
}
DIMS = (100, 750, 9000)


def measure(device: torch.device) -> Iterator[dict[str, Any]]:
    """One row for each network, projection and dim: ratios of the step, with torch's default Adam and its fused one."""
    for network, make in NETWORKS.items():
        full, full_fused = (make_step(intrinsic.Subspace(make().to(device)), fused=fused) for fused in (False, True))
        for name, kind in projections().items():
            for dim in DIMS:
                nets = [intrinsic.Subspace(make().to(device), projection=kind, dim=dim) for _ in range(2)]
                step, baseline = ratio(make_step(nets[0]), full)
                fused, baseline_fused = ratio(make_step(nets[1], fused=True), full_fused)
                yield {
                    "network": network,
                    "projection": name,
                    "dim": dim,
                    "full_dim": nets[0].full_dim,
                    "step": step,
                    "step_fused": fused,
                    "full_step_ms": 1e3 * baseline,
                    "full_step_fused_ms": 1e3 * baseline_fused,
                    "bytes": nets[0].projection.nbytes,
                }
