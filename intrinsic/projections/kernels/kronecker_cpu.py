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
def _transposed(matrix: Any, like: Any) -> Any:
    """The transposed matrix, with rows of zeros up to a multiple of four."""
    out = np.zeros((-(-matrix.shape[1] // 4) * 4, matrix.shape[0]), like.dtype)
    for row in range(matrix.shape[0]):
        for k in range(matrix.shape[1]):
            out[k, row] = matrix[row, k]
    return out


@inner
def _combine(factors: Any, vectors: Any, out: Any) -> None:
    """Put the sum over k of factors[k] vectors[k] into out, four at a time."""
    for i in range(len(out)):
        out[i] = 0
    for k in range(0, len(factors), 4):
        a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        r0, r1, r2, r3 = vectors[k], vectors[k + 1], vectors[k + 2], vectors[k + 3]
        for i in range(len(out)):
            out[i] += (a * r0[i] + b * r1[i]) + (c * r2[i] + d * r3[i])


@inner
def _products(x: Any, vectors: Any, out: Any) -> None:
    """Put the products of x with each of the vectors into out, four at a time."""
    for k in range(0, len(out), 4):
        r0, r1, r2, r3 = vectors[k], vectors[k + 1], vectors[k + 2], vectors[k + 3]
        a = b = c = d = x.dtype.type(0)
        for i in range(len(x)):
            a += x[i] * r0[i]
            b += x[i] * r1[i]
            c += x[i] * r2[i]
            d += x[i] * r3[i]
        out[k], out[k + 1], out[k + 2], out[k + 3] = a, b, c, d


@kernel
def _matvec(z: Any, left: Any, right: Any, sign: Any, origin: Any, out: Any) -> None:
    rows, (width, depth), scale = len(left), right.shape, z.dtype.type(len(out) ** -0.5)
    left_columns, vectors = _transposed(left, z), _transposed(right, z)
    matrix = np.zeros((len(left_columns), len(vectors)), z.dtype)
    for j in range(len(z)):
        matrix[j // depth, j % depth] = z[j] * scale
    for chunk in prange(CHUNKS):
        factors, offset = np.empty(len(vectors), z.dtype), np.empty(width, z.dtype)
        for row in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            low, high = min(row * width, len(out)), min(row * width + width, len(out))
            _combine(left_columns[:, row], matrix, factors)
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
    totals = np.zeros((CHUNKS, count * len(vectors)), g.dtype)
    for chunk in prange(CHUNKS):
        signed, products = np.empty(width, g.dtype), np.empty(len(vectors), g.dtype)
        for row in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            low, high = min(row * width, len(g)), min(row * width + width, len(g))
            part, signs = g[low:high], sign[low:high]
            for i in range(len(part)):
                signed[i] = part[i] * signs[i]
            for i in range(len(part), width):
                signed[i] = 0
            _products(signed, vectors, products)
            for j in range(count):
                factor, into = left[row, j], totals[chunk, j * len(vectors) : (j + 1) * len(vectors)]
                for k in range(len(vectors)):
                    into[k] += factor * products[k]
    sums = np.empty(count * len(vectors), g.dtype)
    total(totals, g.dtype.type(len(g) ** -0.5), sums)
    for j in range(len(out)):
        out[j] = sums[j // depth * len(vectors) + j % depth]
