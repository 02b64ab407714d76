"""One gather and one scatter."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, kernel, launch

if TYPE_CHECKING:
    from intrinsic.projections.onehot import OneHot


def matvec(projection: "OneHot", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    scaled = z * projection.scale(z)
    launch(_matvec, scaled.numpy(), *_matrix(projection), origin.numpy(), out.numpy())


def rmatvec(projection: "OneHot", g: Tensor, out: Tensor) -> None:
    """out = P^T g: every chunk of weights adds to sums of its own."""
    chunks = max(1, min(CHUNKS, projection.full_dim // (4 * projection.dim)))  # the sums stay smaller than g
    launch(_rmatvec, g.numpy(), *_matrix(projection), chunks, out.numpy())
    out *= projection.scale(g)


def _matrix(projection: "OneHot") -> tuple[np.ndarray, np.ndarray]:
    group = projection.group.numpy()
    return group.view(f"u{group.itemsize}"), projection.sign.numpy()


@kernel
def _matvec(z: Any, group: Any, sign: Any, origin: Any, out: Any) -> None:
    for chunk in prange(CHUNKS):
        low, high = chunk * len(out) // CHUNKS, (chunk + 1) * len(out) // CHUNKS
        part, groups, signs, start = out[low:high], group[low:high], sign[low:high], origin[low:high]
        if len(origin):
            for i in range(len(part)):
                part[i] = start[i] + z[groups[i]] * signs[i]
        else:
            for i in range(len(part)):
                part[i] = z[groups[i]] * signs[i]


@kernel
def _rmatvec(g: Any, group: Any, sign: Any, chunks: int, out: Any) -> None:
    totals = np.zeros((chunks, len(out)), g.dtype)
    for chunk in prange(chunks):
        low, high = chunk * len(g) // chunks, (chunk + 1) * len(g) // chunks
        part, groups, signs, total = g[low:high], group[low:high], sign[low:high], totals[chunk]
        for i in range(len(part)):
            total[groups[i]] += part[i] * signs[i]
    out[:] = totals[0]
    for chunk in range(1, chunks):
        out += totals[chunk]
