"""A proof, at sizes that are tried, that kernels multiply as plain torch does."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.projections.kernels.guarded_kernels import GuardedKernels

# small, and awkward: several tiles and chunks of every kernel, the last one cut; groups of two sizes
_DIM, _FULL_DIM, _SEED = 33, 4099, (5 << 32) + 3
# against the largest entry: sums of up to 4099 terms in another order
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
# a vector in pieces: none, one number, some that end within a chunk, in each dtype; the last has the rest
_PIECES = [
    (0, torch.float32), (1, torch.float64), (1037, torch.float32), (0, torch.bfloat16), (700, torch.bfloat16),
    (333, torch.float16), (1001, torch.float64), (_FULL_DIM - 3072, torch.float32),
]  # fmt: skip
_HALF = {torch.bfloat16: 2**-8, torch.float16: 2**-11}  # rounding once moves a number by at most so much of itself


def prove(owner: Callable[..., Any], kernels: ModuleType, device: torch.device, dtype: torch.dtype) -> None:
    """Compare the kernels of a projection class with its plain torch in float64 on the CPU, at a small awkward size.

    Without an origin, with one, with `out` as the origin, and the adjoint; on `device`, in `dtype`, on its current
    stream; kernels that take pieces (see `select`) also with vectors in several, of several dtypes, and with an `out`
    of less precision. No global state of torch is changed. Kernels with several ways to hold the same P list them by
    `others(projection)`; those that multiply in a way that depends on further arguments of the class name them by
    `options(full_dim)`, and on its dim, further ones in `dims`.

    Raises:
        ArithmeticError: if they differ by more than rounding.
        Exception: whatever a kernel raises, say for want of a compiler.
    """
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast(device.type, enabled=False),
    ):
        for dim in (_DIM, *getattr(kernels, "dims", ())):
            _prove(owner, kernels, device, dtype, dim)


def _prove(owner: Callable[..., Any], kernels: ModuleType, device: torch.device, dtype: torch.dtype, dim: int) -> None:
    options: dict[str, Any] = getattr(kernels, "options", lambda _: {})(_FULL_DIM)
    reference = owner(dim, _FULL_DIM, seed=_SEED, **options)
    numbers = [_numbers(lane, size) for lane, size in enumerate((dim, _FULL_DIM, _FULL_DIM))]
    offset, adjoint = reference.matvec(numbers[0]), reference.rmatvec(numbers[1])
    z, g, origin = (number.to(device, dtype) for number in numbers)
    projection, guarded = owner(dim, _FULL_DIM, seed=_SEED, **options).to(device), GuardedKernels(kernels, _fail)
    for form in (projection, *getattr(kernels, "others", lambda _: ())(projection)):
        out = torch.full_like(origin, torch.nan)  # a kernel that leaves out an entry is seen
        guarded.matvec(form, z, [], out)
        _compare("P z", out, offset)
        guarded.matvec(form, z, [origin], out.fill_(torch.nan))
        _compare("origin + P z", out, numbers[2] + offset)
        guarded.matvec(form, z, [out.copy_(origin)], out)
        _compare("origin + P z in place", out, numbers[2] + offset)
        sums = torch.full_like(z, torch.nan)
        guarded.rmatvec(form, [g], sums)
        _compare("P^T g", sums, adjoint)
        pieces = _cut(origin)
        if guarded.writes(form, z, pieces, out):
            expected = torch.cat([piece.cpu().double() for piece in pieces]) + offset
            guarded.matvec(form, z, pieces, out.fill_(torch.nan))
            _compare("origin in pieces + P z", out, expected)
            for half, rounding in _HALF.items():
                rounded = torch.full_like(origin, torch.nan, dtype=half)
                guarded.matvec(form, z, pieces, rounded)
                _compare("origin in pieces + P z, rounded", rounded, expected, rounding)
        if guarded.reads(form, pieces, sums):
            expected = reference.rmatvec(torch.cat([piece.cpu().double() for piece in pieces]))
            guarded.rmatvec(form, pieces, sums.fill_(torch.nan))
            _compare("P^T g in pieces", sums, expected)


def _numbers(lane: int, size: int) -> Tensor:
    """Without torch's random state; exact in float32, so that both dtypes multiply the same numbers."""
    return torch.from_numpy(rng.normals(_SEED, size, lane=lane).astype(np.float32).astype(np.float64))


def _cut(x: Tensor) -> list[Tensor]:
    sizes, dtypes = zip(*_PIECES, strict=True)
    return [piece.to(dtype) for piece, dtype in zip(x.split(sizes), dtypes, strict=True)]


def _compare(name: str, found: Tensor, expected: Tensor, tolerance: float | None = None) -> None:
    deviation = float((found.cpu().double() - expected).abs().max() / expected.abs().max())
    if not deviation <= (_TOLERANCE[found.dtype] if tolerance is None else tolerance):  # NaN is not
        raise ArithmeticError(f"{name} is wrong by {deviation:.0e} of its largest entry")


def _fail(error: Exception) -> NoReturn:
    raise error
