"""P z and P^T g, as they run inside a step, as ratios to copying as many floats as there are weights."""

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.projections import projections
from benchmarks.timing import PRODUCT_TURNS, ratio
from intrinsic.projections.base import Projection

# d, D: growth with D, growth with d, and the networks of `steps`
SIZES = [(1000, 10**6), (1000, 10**7), (1000, 10**8)]
SIZES += [(d, 10**6) for d in (10, 100, 10_000, 100_000)] + [(750, 199_210)]
DENSE = 10**10  # entries above which the dense projection is left to `huge`
MOST = 4 << 30  # bytes of P
ONLY_FAST = 10**8  # weights from which only these are measured, which cost a few bytes a weight
FAST = ("fastfood", "onehot")


def measure(device: torch.device) -> Iterator[dict[str, Any]]:
    """One row for each projection and size."""
    for name, kind in projections().items():
        for dim, full_dim in SIZES + ([(1000, 10**9)] if device.type == "cuda" else []):
            if name == "dense" and dim * full_dim > DENSE:
                continue
            if kind.plan(dim, full_dim) > MOST:
                continue
            if full_dim >= ONLY_FAST and name not in FAST:
                continue
            projection = kind(dim, full_dim, seed=0).to(device)
            yield {"projection": name, "dim": dim, "full_dim": full_dim, **time_products(projection, device)}


def time_products(projection: Projection, device: torch.device, turns: int = PRODUCT_TURNS) -> dict[str, float]:
    """theta_0 + P z in place and P^T g, as ratios to a copy; the copy in milliseconds; the bytes of P."""
    z, g = torch.randn(projection.dim, device=device), torch.randn(projection.full_dim, device=device)
    origin, out = torch.randn_like(g), torch.empty_like(g)

    def done() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def copy() -> None:
        out.copy_(g)

    def forward() -> None:
        projection.displace(z, origin, out)

    def adjoint() -> None:
        projection.multiply(g, transposed=True)

    with torch.no_grad():
        forward_ratio, seconds = ratio(forward, copy, turns=turns, done=done)
        adjoint_ratio, _ = ratio(adjoint, copy, turns=turns, done=done)
    times = {"forward": forward_ratio, "adjoint": adjoint_ratio, "copy_ms": 1e3 * seconds}
    return {**times, "bytes": projection.nbytes}
