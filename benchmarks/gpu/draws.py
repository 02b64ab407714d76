"""P drawn on the device and on the CPU: seconds, and whether the bits are the same."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

import intrinsic
from benchmarks.gpu.attempt import attempt
from intrinsic.projections.base import Projection
from intrinsic.projections.device_draws.draw_on import draw_on

DIM = {"full": 1000, "tiny": 10}
SIZES = {"full": (1 << 20, 10**7, 10**8), "tiny": (5003,)}
KINDS: dict[str, Callable[..., Projection]] = {
    "onehot": intrinsic.OneHot,
    "kronecker": intrinsic.Kronecker,
    "sparse": intrinsic.Sparse,
    "fastfood": intrinsic.Fastfood,
    "dense": intrinsic.Dense,
    "dense, gaussian": partial(intrinsic.Dense, entries="gaussian"),
}
ENTRIES = {"dense": 4 * 10**9, "dense, gaussian": 2 * 10**8}  # above which the CPU would take long


def measure(device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    """One row for each D and projection."""
    for full_dim in SIZES[scale]:
        for name in KINDS:
            dim = min(DIM[scale], ENTRIES.get(name, 10**12) // full_dim)
            if dim:
                case = {"projection": name, "dim": dim, "full_dim": full_dim}
                yield attempt(case, partial(_row, name, dim, full_dim, device), device)


def _row(name: str, dim: int, full_dim: int, device: torch.device) -> dict[str, Any]:
    torch.zeros(1, device=device)  # starts the device
    with draw_on(device, least=1):
        KINDS[name](min(dim, 64), 1 << 12, seed=1)  # compiles what torch compiles
        there, seconds = _timed(name, dim, full_dim, device)
    here, cpu_seconds = _timed(name, dim, full_dim, device)
    tensors = there.fixed_tensors()
    on_device = bool(tensors) and all(tensor.device.type == device.type for tensor in tensors.values())
    ours = here.fixed_tensors()
    same = all(torch.equal(tensor.cpu(), ours[key]) for key, tensor in tensors.items() if key in ours)
    same = same and here.fingerprint() == there.fingerprint()
    row = {"seconds": seconds, "cpu_seconds": cpu_seconds, "ratio": cpu_seconds / seconds}
    return {**row, "on the device": on_device, "equal": same}


def _timed(name: str, dim: int, full_dim: int, device: torch.device) -> tuple[Projection, float]:
    start = time.perf_counter()
    made = KINDS[name](dim, full_dim, seed=3)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return made, time.perf_counter() - start
