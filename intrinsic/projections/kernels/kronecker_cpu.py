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
    """Put the sums over k of factors[row, k] vectors[k] into out[row], for two rows, four k at a time."""
    one, other = out[0], out[1]
    for i in range(len(one)):
        one[i] = other[i] = 0
    for k in range(0, factors.shape[1], 4):
        a, b, c, d = factors[0, k], factors[0, k + 1], factors[0, k + 2], factors[0, k + 3]
        e, f, g, h = factors[1, k], factors[1, k + 1], factors[1, k + 2], factors[1, k + 3]
        r0, r1, r2, r3 = vectors[k], vectors[k + 1], vectors[k + 2], vectors[k + 3]
        for i in range(len(one)):
            one[i] += (a * r0[i] + b * r1[i]) + (c * r2[i] + d * r3[i])
            other[i] += (e * r0[i] + f * r1[i]) + (g * r2[i] + h * r3[i])


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
    vectors = _transposed(right, z)
    matrix = np.zeros((-(-left.shape[1] // 4) * 4, len(vectors)), z.dtype)
    for j in range(len(z)):
        matrix[j // depth, j % depth] = z[j] * scale
    pairs = -(-rows // 2)
    for chunk in prange(CHUNKS):
        mixed = np.zeros((2, len(matrix)), z.dtype)
        factors, offsets = np.empty((2, len(vectors)), z.dtype), np.empty((2, width), z.dtype)
        for pair in range(chunk * pairs // CHUNKS, (chunk + 1) * pairs // CHUNKS):
            for k in range(left.shape[1]):
                mixed[0, k], mixed[1, k] = left[2 * pair, k], left[min(2 * pair + 1, rows - 1), k]
            _combine(mixed, matrix, factors)
            _combine(factors, vectors, offsets)
            for row in range(2):
                low = min((2 * pair + row) * width, len(out))
                high = min(low + width, len(out))
                part, signs, start, offset = out[low:high], sign[low:high], origin[low:high], offsets[row]
                if len(origin):
                    for i in range(len(part)):
                        part[i] = start[i] + offset[i] * signs[i]
                else:
                    for i in range(len(part)):
                        part[i] = offset[i] * signs[i]


@kernel
def _rmatvec(g: Any, left: Any, right: Any, sign: Any, out: Any) -> None:
    (rows, count), (width, depth), vectors = left.shape, right.shape, _transposed(right, g)
    totals, groups = np.zeros((CHUNKS, count * len(vectors)), g.dtype), -(-rows // 4)
    for chunk in prange(CHUNKS):
        signed, products = np.empty(width, g.dtype), np.empty((4, len(vectors)), g.dtype)
        for group in range(chunk * groups // CHUNKS, (chunk + 1) * groups // CHUNKS):
            for row in range(4):
                low = min((4 * group + row) * width, len(g))
                part, signs = g[low : min(low + width, len(g))], sign[low : min(low + width, len(g))]
                for i in range(len(part)):
                    signed[i] = part[i] * signs[i]
                for i in range(len(part), width):
                    signed[i] = 0
                _products(signed, vectors, products[row])
            r0, r1, r2, r3 = products[0], products[1], products[2], products[3]
            last = rows - 1  # products of rows beyond it are zero
            for j in range(count):
                into = totals[chunk, j * len(vectors) : (j + 1) * len(vectors)]
                a, b, c, d = (
                    left[4 * group, j],
                    left[min(4 * group + 1, last), j],
                    left[min(4 * group + 2, last), j],
                    left[min(4 * group + 3, last), j],
                )
                for k in range(len(vectors)):
                    into[k] += (a * r0[k] + b * r1[k]) + (c * r2[k] + d * r3[k])
    sums = np.empty(count * len(vectors), g.dtype)
    total(totals, g.dtype.type(len(g) ** -0.5), sums)
    for j in range(len(out)):
        out[j] = sums[j // depth * len(vectors) + j % depth]
