"""The kernels of one projection against plain torch in float64 on the CPU, at awkward sizes; and P's bits."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu.attempt import attempt
from benchmarks.projections import projections
from intrinsic.projections.base import Projection
from intrinsic.projections.granularity import Granularity, draw
from intrinsic.projections.kernels.select import left_out, select

# d, D: several tiles and a cut last block first, then what is small, then what takes long to compile
SIZES = {
    "full": [
        *((257, 70_001), (9, 31), (100, 4099), (1, 7), (750, 199_210), (5000, 70_001)),
        *((1, 1), (5, 5), (33, 1030), (64, 2048), (17_000, 40_000), (9000, 1_000_003)),
    ],
    "tiny": [(9, 31), (1, 1)],
}
TENSORS = {"full": [31, 4096, 1, 1000, 63_001], "tiny": [31, 1, 64]}  # D of each, for the other granularities
PARTED: tuple[Granularity, ...] = ("tensor", "block")
DENSE = 10**9  # entries from which the CPU would take minutes to draw them
GRANULAR_DIM, REPLICAS, PIECES, SEED = 20, 3, 20, 3
# relative to the largest entry: sums of up to D terms in another order; bfloat16 arguments are multiplied in float32
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13, torch.bfloat16: 1e-5}
ROUNDED = 2.0**-8  # what rounding to bfloat16 adds, at most


def measure(device: torch.device, scale: str, name: str) -> Iterator[dict[str, Any]]:
    """One row for each size, granularity and dtype: deviations from the CPU, and whether the bits of P are the same."""
    kind = projections()[name]
    sizes = TENSORS[scale]
    cases: list[tuple[int, int, Granularity]] = [
        (dim, full_dim, "global") for dim, full_dim in SIZES[scale] if name != "dense" or dim * full_dim < DENSE
    ]
    cases[1:1] = [(GRANULAR_DIM, sum(sizes), granularity) for granularity in PARTED]
    for dim, full_dim, granularity in cases:
        tensors = [full_dim] if granularity == "global" else sizes
        make = partial(draw, kind, dim, tensors, granularity=granularity, seed=SEED)
        case = {"projection": name, "granularity": granularity, "dim": dim, "full_dim": full_dim}
        for dtype in TOLERANCE:
            row = {**case, "dtype": str(dtype).removeprefix("torch.")}
            yield attempt(row, partial(compare, make, dtype, device), device)


def compare(make: Callable[[], Projection], dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """The row of one P: every number relative to the largest entry of the right answer, every mark true if all is well.

    `ok` if all marks are, and all deviations within rounding.
    """
    here, there = make(), make().to(device)
    z, g, origin = _vectors(here, dtype)
    left, right = z.to(device), g.to(device)
    expected, adjoint = here.matvec(z.double()), here.rmatvec(g.double())
    forward, backward = there(left), there.adjoint(right)
    low, high = here.full_dim // 3, here.full_dim - here.full_dim // 7
    window = torch.cat([g.new_zeros(low), g[low:high], g.new_zeros(here.full_dim - high)])
    out = torch.full_like(origin, torch.nan).to(device)
    there.displace(left.float() if dtype == torch.bfloat16 else left, origin.to(device), out)
    parts, pieces = (list(x.to(device).split(-(-here.full_dim // PIECES))) for x in (origin, g))
    again = torch.full_like(out, torch.nan)
    there.displace_pieces(left.float() if dtype == torch.bfloat16 else left, parts, again)
    several, many = (torch.stack([x * k for k in range(1, 1 + REPLICAS)]) for x in (left, right))
    kernel = select(type(there), forward) if there.kernels else None
    deviations = {
        "P z": _deviation(forward, expected),
        "Pᵀ g": _deviation(backward, adjoint),
        "rows": _deviation(there.multiply_rows(right[low:high], low), here.rmatvec(window.double()), adjoint),
        "gradient": _deviation(_gradient(there, left, right), adjoint),
        "Pᵀ g in pieces": _deviation(there.multiply_pieces(pieces), adjoint),
    }
    placed = _deviation(out, origin.double() + expected)
    nans = there(torch.full_like(left, torch.nan)).isnan(), there.adjoint(torch.full_like(right, torch.nan)).isnan()
    marks = {
        "bits": all(map(torch.equal, held(here), (tensor.cpu() for tensor in held(there)))),
        "fingerprint": make().to(device).fingerprint() == here.fingerprint(),
        "repeats": torch.equal(forward, there(left)) and torch.equal(backward, there.adjoint(right)),
        "replicas": _close(there(several)[0], forward, dtype) and _close(there.adjoint(many)[0], backward, dtype),
        "pieces": torch.equal(again, out),
        "nan": bool(nans[0].any() and nans[1].all()),
    }
    tolerance = TOLERANCE[dtype]
    within = all(value <= tolerance for value in deviations.values())
    within = within and placed <= tolerance + (ROUNDED if dtype == torch.bfloat16 else 0)
    used = "plain torch" if kernel is None else kernel.__name__.rpartition(".")[2]
    why = left_out(type(there), forward) or ""
    row = {"kernel": used, "left out": why, **deviations, "θ₀ + P z": placed, **marks}
    return {**row, "ok": within and all(marks.values())}


def held(module: nn.Module) -> list[Tensor]:
    """All tensors that a module and its parts keep, wherever they keep them."""
    found = []
    for part in module.modules():
        for value in vars(part).values():
            values = value.values() if isinstance(value, dict) else [value]
            found += [tensor for tensor in values if isinstance(tensor, Tensor)]
    return found


def _vectors(projection: Projection, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = (projection.dim, projection.full_dim, projection.full_dim)
    z, g, origin = (torch.randn(size, dtype=torch.float64, generator=generator).to(dtype) for size in sizes)
    return z, g, origin


def _gradient(projection: Projection, z: Tensor, g: Tensor) -> Tensor:
    z = z.detach().float() if z.dtype == torch.bfloat16 else z.detach()
    (grad,) = torch.autograd.grad(projection(z.requires_grad_()), z, g.to(z.dtype))
    return grad


def _deviation(found: Tensor, expected: Tensor, scale: Tensor | None = None) -> float:
    largest = (expected if scale is None else scale).abs().max().clamp_min(1e-300)
    return float((found.cpu().double() - expected).abs().max() / largest)


def _close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    return _deviation(found, expected.cpu().double()) <= TOLERANCE[dtype]
