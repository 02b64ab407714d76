"""S (R1 Z R2^T), row by row of R1."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, launch, total

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker


def matvec(projection: "Kronecker", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    launch(_matvec, z.numpy(), *_matrix(projection), origin.numpy(), out.numpy())


def rmatvec(projection: "Kronecker", g: Tensor, out: Tensor) -> None:
    """out = P^T g."""
    launch(_rmatvec, g.numpy(), *_matrix(projection), out.numpy())


def _matrix(projection: "Kronecker") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return projection.left.numpy(), projection.right.numpy(), projection.sign.numpy()


@inner
def _transposed(right: Any, like: Any) -> Any:
    out = np.empty((right.shape[1], right.shape[0]), like.dtype)
    for row in range(right.shape[0]):
        for k in range(right.shape[1]):
            out[k, row] = right[row, k]
    return out


@inner
def _combine(factors: Any, vectors: Any, out: Any) -> None:
    """Put the sum over k of factors[k] vectors[k] into out, four at a time."""
    for i in range(len(out)):
        out[i] = 0
    count = len(factors) // 4 * 4
    for k in range(0, count, 4):
        a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        r0, r1, r2, r3 = vectors[k], vectors[k + 1], vectors[k + 2], vectors[k + 3]
        for i in range(len(out)):
            out[i] += (a * r0[i] + b * r1[i]) + (c * r2[i] + d * r3[i])
    for k in range(count, len(factors)):
        a, r0 = factors[k], vectors[k]
        for i in range(len(out)):
            out[i] += a * r0[i]


@kernel
def _matvec(z: Any, left: Any, right: Any, sign: Any, origin: Any, out: Any) -> None:
    (rows, count), (width, depth), scale = left.shape, right.shape, z.dtype.type(len(out) ** -0.5)
    Z, vectors = np.zeros(count * depth, z.dtype), _transposed(right, z)
    for j in range(len(z)):
        Z[j] = z[j] * scale
    matrix = Z.reshape(count, depth)
    for chunk in prange(CHUNKS):
        factors, offset = np.empty(depth, z.dtype), np.empty(width, z.dtype)
        for row in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            low, high = min(row * width, len(out)), min(row * width + width, len(out))
            _combine(left[row], matrix, factors)
            _combine(factors, vectors, offset)
            part, signs, start = out[low:high], sign[low:high], origin[low:high]
            if len(origin):
                for i in range(len(part)):
                    part[i] = start[i] + offset[i] * signs[i]
            else:
                for i in range(len(part)):
                    part[i] = offset[i] * signs[i]


@kernel
def _rmatvec(g: Any, left: Any, right: Any, sign: Any, out: Any) -> None:
    (rows, count), (width, depth), vectors = left.shape, right.shape, _transposed(right, g)
    totals = np.zeros((CHUNKS, count * depth), g.dtype)
    for chunk in prange(CHUNKS):
        signed, products, sums = np.empty(width, g.dtype), np.empty(depth, g.dtype), totals[chunk].reshape(count, depth)
        for row in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            low, high = min(row * width, len(g)), min(row * width + width, len(g))
            part, signs = g[low:high], sign[low:high]
            for i in range(len(part)):
                signed[i] = part[i] * signs[i]
            for i in range(len(part), width):
                signed[i] = 0
            for k in range(depth):
                vector, sum_ = vectors[k], g.dtype.type(0)
                for i in range(width):
                    sum_ += signed[i] * vector[i]
                products[k] = sum_
            for j in range(count):
                factor, into = left[row, j], sums[j]
                for k in range(depth):
                    into[k] += factor * products[k]
    total(totals[:, : len(out)], g.dtype.type(len(g) ** -0.5), out)
