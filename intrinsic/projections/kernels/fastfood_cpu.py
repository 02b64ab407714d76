"""Fastfood, block by block within the cache."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, total
from intrinsic.projections.kernels.descent import Descent, sequence
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.pieces import put, stretch, target
from intrinsic.projections.kernels.prefetch import prefetch
from intrinsic.projections.kernels.walsh_hadamard import hadamard

if TYPE_CHECKING:
    from intrinsic.projections.fastfood import Fastfood

_MASK, _SHIFT = np.uint64(0xFFFF), np.uint64(16)


def _fixed(projection: "Fastfood") -> tuple[Any, ...]:
    source = projection.source.numpy()
    packed = source.itemsize == 2 and source.shape[1] >= 4  # four indices to a word: fewer loads
    source = source.view(np.uint64 if packed else f"u{source.itemsize}")
    return projection.full_dim, projection.sign.numpy(), projection.gain.numpy(), source


@inner
def _gather(x: Any, source: Any, y: Any) -> None:
    """y[j] = x[source[j]]."""
    if source.itemsize == 8:
        for k in range(len(source)):
            four = source[k]
            y[4 * k] = x[four & _MASK]
            y[4 * k + 1] = x[four >> _SHIFT & _MASK]
            y[4 * k + 2] = x[four >> np.uint64(32) & _MASK]
            y[4 * k + 3] = x[four >> np.uint64(48)]
    else:
        for j in range(len(source)):
            y[j] = x[source[j]]


@inner
def _scatter(x: Any, source: Any, y: Any) -> None:
    """y[source[j]] = x[j]."""
    if source.itemsize == 8:
        for k in range(len(source)):
            four = source[k]
            y[four & _MASK] = x[4 * k]
            y[four >> _SHIFT & _MASK] = x[4 * k + 1]
            y[four >> np.uint64(32) & _MASK] = x[4 * k + 2]
            y[four >> np.uint64(48)] = x[4 * k + 3]
    else:
        for j in range(len(source)):
            y[source[j]] = x[j]


@kernel
def _matvec(z: Any, full_dim: int, sign: Any, gain: Any, source: Any, origins: Any, outs: Any) -> None:
    (blocks, n), scale = sign.shape, z.dtype.type(full_dim**-0.5)
    scaled, parts = np.zeros(n, z.dtype), min(blocks, CHUNKS)
    for j in range(len(z)):
        scaled[j] = z[j] * scale
    for chunk in prange(parts):
        x, y, buffer, other = np.empty(n, z.dtype), np.empty(n, z.dtype), np.empty(n, z.dtype), np.empty(n, z.dtype)
        for b in range(chunk * blocks // parts, (chunk + 1) * blocks // parts):
            low, high = b * n, min(b * n + n, full_dim)
            start, out = stretch(origins, low, high, buffer), target(outs, low, high, other)
            if b + 1 < blocks:
                prefetch(sign[b + 1])
                prefetch(source[b + 1])
                prefetch(gain[b + 1])
            hadamard(scaled, sign[b], x, None, None, x)
            _gather(x, source[b], y)
            if high - low == n:
                hadamard(y, gain[b], x, start, None, out)
            else:
                hadamard(y, gain[b], x, None, None, x)
                for i in range(len(out)):
                    out[i] = start[i] + x[i]
            put(outs, low, high, other)


@kernel
def _rmatvec(pieces: Any, full_dim: int, sign: Any, gain: Any, source: Any, out: Any) -> None:
    blocks, n = sign.shape
    parts = min(blocks, CHUNKS)
    totals = np.zeros((parts, n), out.dtype)
    for chunk in prange(parts):
        x, y, buffer, sum_ = np.empty(n, out.dtype), np.empty(n, out.dtype), np.empty(n, out.dtype), totals[chunk]
        for b in range(chunk * blocks // parts, (chunk + 1) * blocks // parts):
            g = stretch(pieces, b * n, b * n + n, buffer)  # zero beyond the end
            if b + 1 < blocks:
                prefetch(sign[b + 1])
                prefetch(source[b + 1])
                prefetch(gain[b + 1])
            hadamard(g, None, x, None, gain[b], x)
            _scatter(x, source[b], y)
            hadamard(y, None, x, sum_, sign[b], sum_)
    sums = np.empty(n, out.dtype)
    total(totals, out.dtype.type(full_dim**-0.5), sums)
    for j in range(len(out)):
        out[j] = sums[j]


@sequence
def _descend(
    pieces: Any, fixed_adjoint: Any, g: Any, z: Any, state: Any, numbers: Any, fixed: Any, origins: Any, outs: Any
) -> None:
    _rmatvec(pieces, *fixed_adjoint, g)
    adam(g, z, state, numbers)
    _matvec(z, *fixed, origins, outs)


matvec_pieces, rmatvec_pieces = Matvec(_matvec, _fixed), Rmatvec(_rmatvec, _fixed)
descent = Descent(_descend, _fixed, _fixed)
