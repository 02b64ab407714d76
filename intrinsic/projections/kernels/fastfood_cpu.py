"""Fastfood, in tiles within the cache: a block, or as many short ones as vectors hold."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, total
from intrinsic.projections.kernels.descent import Descent, sequence
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.pieces import numbers, place, put, stretch, target
from intrinsic.projections.kernels.prefetch import prefetch
from intrinsic.projections.kernels.walsh_hadamard import TOGETHER, hadamard

if TYPE_CHECKING:
    from intrinsic.projections.fastfood import Fastfood

_MASK, _SHIFT = np.uint64(0xFFFF), np.uint64(16)


def _fixed(projection: "Fastfood") -> tuple[Any, ...]:
    size, source = projection.sign.shape[1], projection.source.numpy().reshape(-1)
    packed = source.itemsize == 2 and size >= 4  # four indices to a word: fewer loads
    source = source.view(np.uint64 if packed else f"u{source.itemsize}")
    return projection.full_dim, size, projection.sign.numpy().reshape(-1), projection.gain.numpy().reshape(-1), source


@inner
def _tile(array: Any, number: int, length: int) -> Any:
    """One of the tiles that an array is cut into; the last one may be shorter."""
    low = min(number * length, len(array))
    return numbers(place(array) + low * array.itemsize, min(length, len(array) - low), array)


@inner
def _gather(x: Any, source: Any, size: int, y: Any) -> None:
    """y[j] = x[source[j]], in each block of `size` numbers."""
    words = size * len(source) // len(x)
    for block in range(len(x) // size):
        from_, to, part = _tile(x, block, size), _tile(y, block, size), _tile(source, block, words)
        if part.itemsize == 8:
            for k in range(len(part)):
                four = part[k]
                to[4 * k] = from_[four & _MASK]
                to[4 * k + 1] = from_[four >> _SHIFT & _MASK]
                to[4 * k + 2] = from_[four >> np.uint64(32) & _MASK]
                to[4 * k + 3] = from_[four >> np.uint64(48)]
        else:
            for j in range(len(part)):
                to[j] = from_[part[j]]


@inner
def _scatter(x: Any, source: Any, size: int, y: Any) -> None:
    """y[source[j]] = x[j], in each block of `size` numbers."""
    words = size * len(source) // len(x)
    for block in range(len(x) // size):
        from_, to, part = _tile(x, block, size), _tile(y, block, size), _tile(source, block, words)
        if part.itemsize == 8:
            for k in range(len(part)):
                four = part[k]
                to[four & _MASK] = from_[4 * k]
                to[four >> _SHIFT & _MASK] = from_[4 * k + 1]
                to[four >> np.uint64(32) & _MASK] = from_[4 * k + 2]
                to[four >> np.uint64(48)] = from_[4 * k + 3]
        else:
            for j in range(len(part)):
                to[part[j]] = from_[j]


@kernel
def _matvec(z: Any, full_dim: int, size: int, sign: Any, gain: Any, source: Any, origins: Any, outs: Any) -> None:
    width, scale = max(size, TOGETHER), z.dtype.type(full_dim**-0.5)
    tiles, words = -(-len(sign) // width), width * len(source) // len(sign)
    scaled, parts = np.zeros(width, z.dtype), min(tiles, CHUNKS)
    for block in range(0, width, size):
        for j in range(len(z)):
            scaled[block + j] = z[j] * scale
    for chunk in prange(parts):
        x_, y_, buffer, other = (
            np.empty(width, z.dtype),
            np.empty(width, z.dtype),
            np.empty(width, z.dtype),
            np.empty(width, z.dtype),
        )
        for tile in range(chunk * tiles // parts, (chunk + 1) * tiles // parts):
            signs, gains = _tile(sign, tile, width), _tile(gain, tile, width)
            x, y, low = x_[: len(signs)], y_[: len(signs)], tile * width
            high = min(low + len(signs), full_dim)
            start, out = stretch(origins, low, high, buffer), target(outs, low, high, other)
            prefetch(_tile(sign, tile + 1, width))
            prefetch(_tile(source, tile + 1, words))
            prefetch(_tile(gain, tile + 1, width))
            hadamard(scaled, signs, x, size, None, None, x)
            _gather(x, _tile(source, tile, words), size, y)
            if len(out) == len(x):
                hadamard(y, gains, x, size, start, None, out)
            else:
                hadamard(y, gains, x, size, None, None, x)
                for i in range(len(out)):
                    out[i] = start[i] + x[i]
            put(outs, low, high, other)


@kernel
def _rmatvec(pieces: Any, full_dim: int, size: int, sign: Any, gain: Any, source: Any, out: Any) -> None:
    width = max(size, TOGETHER)
    tiles, words = -(-len(sign) // width), width * len(source) // len(sign)
    parts = min(tiles, CHUNKS)
    totals = np.zeros((parts, width), out.dtype)
    for chunk in prange(parts):
        x_, y_, buffer = np.empty(width, out.dtype), np.empty(width, out.dtype), np.empty(width, out.dtype)
        for tile in range(chunk * tiles // parts, (chunk + 1) * tiles // parts):
            signs, gains = _tile(sign, tile, width), _tile(gain, tile, width)
            x, y, sum_ = x_[: len(signs)], y_[: len(signs)], totals[chunk][: len(signs)]
            g = stretch(pieces, tile * width, tile * width + len(signs), buffer)  # zero beyond the end
            prefetch(_tile(sign, tile + 1, width))
            prefetch(_tile(source, tile + 1, words))
            prefetch(_tile(gain, tile + 1, width))
            hadamard(g, None, x, size, None, gains, x)
            _scatter(x, _tile(source, tile, words), size, y)
            hadamard(y, None, x, size, sum_, signs, sum_)
    sums = np.empty(width, out.dtype)
    total(totals, out.dtype.type(full_dim**-0.5), sums)
    for j in range(len(out)):
        out[j] = sums[j]
        for block in range(size, width, size):
            out[j] += sums[block + j]


@sequence
def _descend(
    pieces: Any, fixed_adjoint: Any, g: Any, z: Any, state: Any, numbers: Any, fixed: Any, origins: Any, outs: Any
) -> None:
    _rmatvec(pieces, *fixed_adjoint, g)
    adam(g, z, state, numbers)
    _matvec(z, *fixed, origins, outs)


dims = (300,)  # whose blocks fill a tile: those of the first proof share one
matvec_pieces, rmatvec_pieces = Matvec(_matvec, _fixed), Rmatvec(_rmatvec, _fixed)
descent = Descent(_descend, _fixed, _fixed)
