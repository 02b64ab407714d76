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
def _size(j: int, dim: int, like: Any) -> Any:
    """The number of weights in group j of `like`, which has one number for each weight."""
    return like.dtype.type(len(like) // dim + (j < len(like) % dim))


@kernel
def _matvec(z: Any, code: Any, origin: Any, out: Any) -> None:
    values = np.empty(2 * len(z), z.dtype)  # what a weight of a given code moves by
    for j in range(len(z)):
        values[2 * j + 1] = z[j] / np.sqrt(_size(j, len(z), out))
        values[2 * j] = -values[2 * j + 1]
    for chunk in prange(CHUNKS):
        low, high = chunk * len(out) // CHUNKS, (chunk + 1) * len(out) // CHUNKS
        part, codes, start = out[low:high], code[low:high], origin[low:high]
        if len(origin):
            for i in range(len(part)):
                part[i] = start[i] + values[codes[i]]
        else:
            for i in range(len(part)):
                part[i] = values[codes[i]]


@kernel
def _rmatvec(g: Any, code: Any, chunks: int, out: Any) -> None:
    totals, sums = np.empty((chunks, 2 * len(out)), g.dtype), np.empty(2 * len(out), g.dtype)
    for chunk in prange(chunks):
        low, high = chunk * len(g) // chunks, (chunk + 1) * len(g) // chunks
        part, codes, sum_ = g[low:high], code[low:high], totals[chunk]
        for j in range(len(sum_)):
            sum_[j] = 0
        for i in range(len(part)):
            sum_[codes[i]] += part[i]
    total(totals, g.dtype.type(1), sums)
    for j in range(len(out)):
        out[j] = (sums[2 * j + 1] - sums[2 * j]) / np.sqrt(_size(j, len(out), g))
