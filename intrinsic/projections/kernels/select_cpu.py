"""A copy of the weights in which few are written, and as few read."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel
from intrinsic.projections.kernels.descent import Descent, sequence
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.pieces import STRETCH, put, stretch, target

if TYPE_CHECKING:
    from intrinsic.projections.select import Select


def _fixed(projection: "Select") -> tuple[np.ndarray, int, int]:
    """The places, the number of weights and the chunks of these."""
    full_dim = projection.full_dim
    return projection.index.numpy(), full_dim, max(1, min(CHUNKS, full_dim // (4 * STRETCH)))


def _fixed_adjoint(projection: "Select") -> tuple[np.ndarray, int, int]:
    """The same, the chunks of the places."""
    return projection.index.numpy(), projection.full_dim, max(1, min(CHUNKS, projection.dim // 256))


@inner
def _first(index: Any, low: Any) -> Any:
    """How many places lie before `low`."""
    first, last = 0, len(index)
    while first < last:
        middle = (first + last) // 2
        if index[middle] < low:
            first = middle + 1
        else:
            last = middle
    return first


@inner
def _displace(z: Any, index: Any, origins: Any, outs: Any, first: Any, last: Any) -> None:
    buffer, other = np.empty(STRETCH, z.dtype), np.empty(STRETCH, z.dtype)
    j = _first(index, first)
    for low in range(first, last, STRETCH):
        high = min(low + STRETCH, last)
        start, part = stretch(origins, low, high, buffer), target(outs, low, high, other)
        for i in range(high - low):
            part[i] = start[i]
        while j < len(index) and index[j] < high:
            part[index[j] - low] += z[j]
            j += 1
        put(outs, low, high, other)


@inner
def _choose(pieces: Any, index: Any, full_dim: Any, first: Any, last: Any, out: Any) -> None:
    buffer = np.empty(STRETCH, out.dtype)
    j = first
    while j < last:
        low = index[j] // STRETCH * STRETCH
        high = min(low + STRETCH, full_dim)
        part = stretch(pieces, low, high, buffer)
        while j < last and index[j] < high:
            out[j] = part[index[j] - low]
            j += 1


@kernel
def _matvec(z: Any, index: Any, full_dim: int, chunks: int, origins: Any, outs: Any) -> None:
    stretches = -(-full_dim // STRETCH)
    for chunk in prange(chunks):
        first = chunk * stretches // chunks * STRETCH
        _displace(z, index, origins, outs, first, min((chunk + 1) * stretches // chunks * STRETCH, full_dim))


@kernel
def _rmatvec(pieces: Any, index: Any, full_dim: int, chunks: int, out: Any) -> None:
    for chunk in prange(chunks):
        first, last = chunk * len(index) // chunks, (chunk + 1) * len(index) // chunks
        _choose(pieces, index, full_dim, first, last, out)


@sequence
def _descend(
    pieces: Any, fixed_adjoint: Any, g: Any, z: Any, state: Any, numbers: Any, fixed: Any, origins: Any, outs: Any
) -> None:
    _rmatvec(pieces, *fixed_adjoint, g)
    adam(g, z, state, numbers)
    _matvec(z, *fixed, origins, outs)


matvec_pieces, rmatvec_pieces = Matvec(_matvec, _fixed), Rmatvec(_rmatvec, _fixed_adjoint)
descent = Descent(_descend, _fixed, _fixed_adjoint)
