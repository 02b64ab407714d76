"""P^T g and theta_0 + P z of tensors where they lie, against their concatenation."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, cat

from benchmarks.gpu.attempt import attempt
from benchmarks.gpu.enlarged import enlarged
from benchmarks.projections import projections
from benchmarks.timing import ratio

DIM, TENSORS = {"full": 1000, "tiny": 10}, {"full": 200, "tiny": 20}
SIZES = {"full": (10**7, 10**8), "tiny": (5000,)}
DTYPES = (torch.float32, torch.bfloat16)
DRAWN = {"full": 10**7, "tiny": 5000}  # weights above which P is not drawn in full
DENSE = 10**10  # entries above which the dense projection is left out: a product draws each of them
TURNS, CUTS = {"full": 5, "tiny": 1}, 100


def measure(device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    """One row for each D, projection and dtype."""
    for full_dim in SIZES[scale]:
        for name in projections():
            for dtype in DTYPES:
                case = {"projection": name, "dim": DIM[scale], "full_dim": full_dim}
                case["dtype"] = str(dtype).removeprefix("torch.")
                if name != "dense" or DIM[scale] * full_dim < DENSE:
                    yield attempt(case, partial(_row, name, full_dim, dtype, device, scale), device)


def _row(name: str, full_dim: int, dtype: torch.dtype, device: torch.device, scale: str) -> dict[str, Any]:
    """Ratios of times, whether both ways give the same bits, and a copy's milliseconds."""
    projection = enlarged(projections()[name], DIM[scale], full_dim, device, DRAWN[scale])
    done: Callable[[], object] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    g = torch.randn(full_dim, device=device).to(dtype)
    pieces = [piece.clone() for piece in g.split(-(-full_dim // TENSORS[scale]))]
    z, out, buffer = torch.randn(DIM[scale], device=device), torch.empty_like(g), torch.empty_like(g)

    def concatenation() -> Tensor:
        return projection.multiply_pieces([cat(pieces, out=buffer)])

    def placed() -> None:
        cat(pieces, out=out)
        projection.displace_pieces(z, [out], out)

    timed = partial(ratio, turns=TURNS[scale], done=done)
    moved = {}
    same = torch.equal(projection.multiply_pieces(pieces), concatenation())
    moved["adjoint"], seconds = timed(lambda: projection.multiply_pieces(pieces), concatenation)
    placed()
    whole = out.clone()
    projection.displace_pieces(z, pieces, out)
    same = same and torch.equal(out, whole)
    moved["forward"], _ = timed(lambda: projection.displace_pieces(z, pieces, out), placed)
    new = _elsewhere(g, TENSORS[scale])
    moved["new"], _ = timed(lambda: projection.multiply_pieces(next(new)), concatenation)
    return {**moved, "joined_ms": 1e3 * seconds, "tensors": len(pieces), "equal": same}


def _elsewhere(g: Tensor, tensors: int) -> Iterator[list[Tensor]]:
    """g in as many tensors, cut elsewhere each time: more often than addresses are kept for."""
    size = -(-len(g) // tensors)
    return cycle([[g[:low], *g[low:].split(size)] for low in range(size // 2, size // 2 + CUTS)])
