"""One gather and one scatter."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, launch, total

if TYPE_CHECKING:
    from intrinsic.projections.onehot import OneHot


def matvec(projection: "OneHot", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    launch(_matvec, z.numpy(), _code(projection), origin.numpy(), out.numpy())


def rmatvec(projection: "OneHot", g: Tensor, out: Tensor) -> None:
    """out = P^T g: every chunk of weights adds to sums of its own."""
    chunks = max(1, min(CHUNKS, projection.full_dim // (4 * projection.dim)))  # the sums stay smaller than g
    launch(_rmatvec, g.numpy(), _code(projection), chunks, out.numpy())


def _code(projection: "OneHot") -> np.ndarray:
    return projection.code.numpy().view(f"u{projection.code.itemsize}")


@inner
def _norms(dim: int, full_dim: int, numbers: Any, out: Any) -> None:
    """Put numbers[j] / sqrt(size of group j) into out."""
    for j in range(dim):
        out[j] = numbers[j] / np.sqrt(numbers.dtype.type(full_dim // dim + (j < full_dim % dim)))


@inner
def _sign(code: Any) -> Any:
    return np.int32(code & 1) * 2 - 1


@kernel
def _matvec(z: Any, code: Any, origin: Any, out: Any) -> None:
    scaled = np.empty_like(z)
    _norms(len(z), len(out), z, scaled)
    for chunk in prange(CHUNKS):
        low, high = chunk * len(out) // CHUNKS, (chunk + 1) * len(out) // CHUNKS
        part, codes, start = out[low:high], code[low:high], origin[low:high]
        if len(origin):
            for i in range(len(part)):
                part[i] = start[i] + scaled[codes[i] >> 1] * _sign(codes[i])
        else:
            for i in range(len(part)):
                part[i] = scaled[codes[i] >> 1] * _sign(codes[i])


@kernel
def _rmatvec(g: Any, code: Any, chunks: int, out: Any) -> None:
    totals = np.empty((chunks, len(out)), g.dtype)
    for chunk in prange(chunks):
        low, high = chunk * len(g) // chunks, (chunk + 1) * len(g) // chunks
        part, codes, sum_ = g[low:high], code[low:high], totals[chunk]
        for j in range(len(sum_)):
            sum_[j] = 0
        for i in range(len(part)):
            sum_[codes[i] >> 1] += part[i] * _sign(codes[i])
    total(totals, g.dtype.type(1), out)
    _norms(len(out), len(g), out, out)
