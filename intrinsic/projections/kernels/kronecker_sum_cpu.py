"""(R1 z)_i + (R2 z)_j, and of a gradient the sums of its rows and of its columns."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel
from intrinsic.projections.kernels.descent import Descent, sequence
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.pieces import STRETCH, put, stretch, target

if TYPE_CHECKING:
    from intrinsic.projections.kronecker_sum import KroneckerSum

_BLOCKS, _LEAST = 16, 64  # of columns of a factor, and the fewest columns of one: rows are read in long stretches

dims = (2000,)  # for the proof: more rows than columns


def _fixed(projection: "KroneckerSum") -> tuple[np.ndarray, np.ndarray, int]:
    return projection.left.numpy(), projection.right.numpy(), projection.full_dim


@inner
def _dot(row: Any, z: Any) -> Any:
    found = z.dtype.type(0)
    for k in range(len(z)):
        found += z.dtype.type(row[k]) * z[k]
    return found


@inner
def _add_rows(numbers: Any, matrix: Any, low: int, high: int, sums: Any) -> None:
    """Add numbers @ matrix[:, low:high] to the sums."""
    last, kind = len(matrix) // 4 * 4, sums.dtype.type
    for i in range(0, last, 4):
        a, b, c, d = numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]
        p, q = matrix[i, low:high], matrix[i + 1, low:high]
        r, s = matrix[i + 2, low:high], matrix[i + 3, low:high]
        for k in range(len(sums)):
            sums[k] += a * kind(p[k]) + b * kind(q[k]) + c * kind(r[k]) + d * kind(s[k])
    for i in range(last, len(matrix)):
        a, p = numbers[i], matrix[i, low:high]
        for k in range(len(sums)):
            sums[k] += a * kind(p[k])


@inner
def _move(start: Any, row: Any, columns: Any, out: Any) -> None:
    for k in range(len(out)):
        out[k] = start[k] + (row + columns[k])


@inner
def _sum(g: Any, columns: Any) -> Any:
    """The sum of g, which is added to that of the columns as well."""
    found = g.dtype.type(0)
    for k in range(len(g)):
        found += g[k]
        columns[k] += g[k]
    return found


@kernel
def _matvec(z: Any, left: Any, right: Any, full_dim: int, origins: Any, outs: Any) -> None:
    count, width, scale = len(left), len(right), z.dtype.type((2 * full_dim) ** -0.5)
    rows, columns = np.empty(count, z.dtype), np.empty(width, z.dtype)
    for chunk in prange(CHUNKS):
        for i in range(chunk * count // CHUNKS, (chunk + 1) * count // CHUNKS):
            rows[i] = scale * _dot(left[i], z)
        for j in range(chunk * width // CHUNKS, (chunk + 1) * width // CHUNKS):
            columns[j] = scale * _dot(right[j], z)
    stretches = -(-full_dim // STRETCH)
    chunks = min(stretches, CHUNKS)
    for chunk in prange(chunks):
        buffer, other = np.empty(STRETCH, z.dtype), np.empty(STRETCH, z.dtype)
        for part in range(chunk * stretches // chunks, (chunk + 1) * stretches // chunks):
            low, high = part * STRETCH, min(part * STRETCH + STRETCH, full_dim)
            start, out = stretch(origins, low, high, buffer), target(outs, low, high, other)
            i, at = low // width, low
            while at < high:
                first, stop = i * width, min(i * width + width, high)
                here = slice(at - low, stop - low)
                _move(start[here], rows[i], columns[at - first : stop - first], out[here])
                i, at = i + 1, stop
            put(outs, low, high, other)


@kernel
def _rmatvec(pieces: Any, left: Any, right: Any, full_dim: int, out: Any) -> None:
    count, width, scale = len(left), len(right), out.dtype.type((2 * full_dim) ** -0.5)
    rows, chunks = np.zeros(count, out.dtype), max(1, min(count, CHUNKS, full_dim // STRETCH))
    parts = np.zeros((chunks, width), out.dtype)  # sums of columns over the rows of a chunk
    for chunk in prange(chunks):
        buffer, mine = np.empty(STRETCH, out.dtype), parts[chunk]
        begin, end = chunk * count // chunks * width, min((chunk + 1) * count // chunks * width, full_dim)
        for low in range(begin, end, STRETCH):
            high = min(low + STRETCH, end)
            g = stretch(pieces, low, high, buffer)
            i, at = low // width, low
            while at < high:
                first, stop = i * width, min(i * width + width, high)
                rows[i] += _sum(g[at - low : stop - low], mine[at - first : stop - first])
                i, at = i + 1, stop
    columns = np.zeros(width, out.dtype)
    for chunk in range(chunks):
        for j in range(width):
            columns[j] += parts[chunk, j]
    block = -(-len(out) // (_BLOCKS * _LEAST)) * _LEAST
    for number in prange(-(-len(out) // block)):
        low, high = number * block, min(number * block + block, len(out))
        sums = np.zeros(high - low, out.dtype)
        _add_rows(rows, left, low, high, sums)
        _add_rows(columns, right, low, high, sums)
        for k in range(low, high):
            out[k] = scale * sums[k - low]


@sequence
def _descend(
    pieces: Any, fixed_adjoint: Any, g: Any, z: Any, state: Any, numbers: Any, fixed: Any, origins: Any, outs: Any
) -> None:
    _rmatvec(pieces, *fixed_adjoint, g)
    adam(g, z, state, numbers)
    _matvec(z, *fixed, origins, outs)


matvec_pieces, rmatvec_pieces = Matvec(_matvec, _fixed), Rmatvec(_rmatvec, _fixed)
descent = Descent(_descend, _fixed, _fixed)
