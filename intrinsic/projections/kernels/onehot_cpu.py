"""One gather and one scatter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, launch, total
from intrinsic.projections.kernels.pieces import STRETCH, put, stretch, table, target

if TYPE_CHECKING:
    from intrinsic.projections.onehot import OneHot


def matvec_pieces(projection: "OneHot", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """out = the origins + P z."""
    launch(_matvec, z.numpy(), _code(projection), table(origins), table((out,)))


def rmatvec_pieces(projection: "OneHot", pieces: Sequence[Tensor], out: Tensor) -> None:
    """out = P^T g: every chunk of weights adds to sums of its own."""
    chunks = max(1, min(CHUNKS, projection.full_dim // (4 * projection.dim)))  # the sums stay smaller than g
    launch(_rmatvec, table(pieces), _code(projection), chunks, out.numpy())


def _code(projection: "OneHot") -> np.ndarray:
    return projection.code.numpy().view(f"u{projection.code.itemsize}")


@inner
def _size(j: int, dim: int, code: Any, like: Any) -> Any:
    """The number of weights in group j."""
    return like.dtype.type(len(code) // dim + (j < len(code) % dim))


@kernel
def _matvec(z: Any, code: Any, origins: Any, outs: Any) -> None:
    values = np.empty(2 * len(z), z.dtype)  # what a weight of a given code moves by
    for j in range(len(z)):
        values[2 * j + 1] = z[j] / np.sqrt(_size(j, len(z), code, z))
        values[2 * j] = -values[2 * j + 1]
    for chunk in prange(CHUNKS):
        buffer, other = np.empty(STRETCH, z.dtype), np.empty(STRETCH, z.dtype)
        end = (chunk + 1) * len(code) // CHUNKS
        for low in range(chunk * len(code) // CHUNKS, end, STRETCH):
            high = min(low + STRETCH, end)
            start, part, codes = stretch(origins, low, high, buffer), target(outs, low, high, other), code[low:high]
            for i in range(len(part)):
                part[i] = start[i] + values[codes[i]]
            put(outs, low, high, other)


@kernel
def _rmatvec(pieces: Any, code: Any, chunks: int, out: Any) -> None:
    totals, sums = np.empty((chunks, 2 * len(out)), out.dtype), np.empty(2 * len(out), out.dtype)
    for chunk in prange(chunks):
        buffer, sum_ = np.empty(STRETCH, out.dtype), totals[chunk]
        for j in range(len(sum_)):
            sum_[j] = 0
        end = (chunk + 1) * len(code) // chunks
        for low in range(chunk * len(code) // chunks, end, STRETCH):
            high = min(low + STRETCH, end)
            part, codes = stretch(pieces, low, high, buffer), code[low:high]
            for i in range(len(part)):
                sum_[codes[i]] += part[i]
    total(totals, out.dtype.type(1), sums)
    for j in range(len(out)):
        out[j] = (sums[2 * j + 1] - sums[2 * j]) / np.sqrt(_size(j, len(out), code, out))
