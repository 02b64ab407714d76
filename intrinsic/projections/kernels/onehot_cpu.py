"""One gather and one scatter."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.compile import CHUNKS, exact, inner, kernel, total
from intrinsic.projections.kernels.descent import Descent, sequence
from intrinsic.projections.kernels.gather import add_found, add_to_found
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.pieces import STRETCH, put, stretch, target

if TYPE_CHECKING:
    from intrinsic.projections.onehot import OneHot


def _fixed(projection: "OneHot") -> tuple[np.ndarray, int]:
    """The codes, and the chunks of the weights."""
    return projection.code.numpy(), max(1, min(CHUNKS, projection.full_dim // (4 * STRETCH)))


def _fixed_adjoint(projection: "OneHot") -> tuple[np.ndarray, int]:
    """Every chunk of weights adds to sums of its own, which are few beside the weights."""
    weights, dim = projection.full_dim, projection.dim
    chunks = max(1, min(CHUNKS, weights // (32 * dim)), min(4, weights // (4 * dim)))
    return projection.code.numpy(), 1 << chunks.bit_length() - 1


@exact
def _scaled(x: Any, j: Any, dim: Any, code: Any, like: Any) -> Any:
    """x over the root of the number of weights in group j."""
    return x / np.sqrt(like.dtype.type(len(code) // dim + (j < len(code) % dim)))


@inner
def _bounds(chunk: Any, chunks: Any, count: Any) -> Any:
    """Where a chunk of the weights begins and ends, in whole stretches."""
    stretches = -(-count // STRETCH)
    return chunk * stretches // chunks * STRETCH, min((chunk + 1) * stretches // chunks * STRETCH, count)


@inner
def _displace(values: Any, code: Any, origins: Any, outs: Any, first: Any, last: Any) -> None:
    buffer, other = np.empty(STRETCH, values.dtype), np.empty(STRETCH, values.dtype)
    for low in range(first, last, STRETCH):
        high = min(low + STRETCH, last)
        start, part = stretch(origins, low, high, buffer), target(outs, low, high, other)
        add_found(values, code[low:high], start, part)
        put(outs, low, high, other)


@inner
def _sum(pieces: Any, code: Any, first: Any, last: Any, sums: Any) -> None:
    sums[:] = 0
    buffer, half = np.empty(STRETCH, sums.dtype), len(sums) // 2
    for low in range(first, last, STRETCH):
        high = min(low + STRETCH, last)
        add_to_found(sums[:half], sums[half:], code[low:high], stretch(pieces, low, high, buffer))


@kernel
def _matvec(z: Any, code: Any, chunks: int, origins: Any, outs: Any) -> None:
    values = np.empty(2 * len(z), z.dtype)  # what a weight of a given code moves by
    for j in range(len(z)):
        values[2 * j + 1] = _scaled(z[j], j, len(z), code, z)
        values[2 * j] = -values[2 * j + 1]
    for chunk in prange(chunks):
        first, last = _bounds(chunk, chunks, len(code))
        _displace(values, code, origins, outs, first, last)


@kernel
def _rmatvec(pieces: Any, code: Any, chunks: int, out: Any) -> None:
    totals, sums = np.empty((chunks, 4 * len(out)), out.dtype), np.empty(4 * len(out), out.dtype)
    for chunk in prange(chunks):
        first, last = _bounds(chunk, chunks, len(code))
        _sum(pieces, code, first, last, totals[chunk])
    total(totals, out.dtype.type(1), sums)
    half = 2 * len(out)
    for j in range(len(out)):
        plus, minus = sums[2 * j + 1] + sums[half + 2 * j + 1], sums[2 * j] + sums[half + 2 * j]
        out[j] = _scaled(plus - minus, j, len(out), code, out)


@sequence
def _descend(
    pieces: Any, fixed_adjoint: Any, g: Any, z: Any, state: Any, numbers: Any, fixed: Any, origins: Any, outs: Any
) -> None:
    _rmatvec(pieces, *fixed_adjoint, g)
    adam(g, z, state, numbers)
    _matvec(z, *fixed, origins, outs)


matvec_pieces, rmatvec_pieces = Matvec(_matvec, _fixed), Rmatvec(_rmatvec, _fixed_adjoint)
descent = Descent(_descend, _fixed, _fixed_adjoint)
