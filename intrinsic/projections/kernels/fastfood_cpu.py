"""Fastfood, block by block within the cache."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, launch, total, write
from intrinsic.projections.kernels.prefetch import prefetch

if TYPE_CHECKING:
    from intrinsic.projections.fastfood import Fastfood


def matvec(projection: "Fastfood", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z, without any other array of full_dim numbers."""
    launch(_matvec, z.numpy(), *_matrix(projection), origin.numpy(), out.numpy())


def rmatvec(projection: "Fastfood", g: Tensor, out: Tensor) -> None:
    """out = P^T g."""
    launch(_rmatvec, g.numpy(), *_matrix(projection), out.numpy())


def _matrix(projection: "Fastfood") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = projection.source.numpy()
    return projection.sign.numpy(), projection.gain.numpy(), source.view(f"u{source.itemsize}")


@inner
def _hadamard(x: Any, y: Any, n: int) -> bool:
    """Transform x with y as scratch; True if the result lies in y.

    Each pass combines neighbours, four or two at a time, and writes the results to as many halves: the lowest bits of
    the index become the highest, all passes are the same contiguous loop, and after the last one the order is natural.
    """
    swapped, rest = False, n
    while rest > 1:
        if rest >= 4:
            q = n >> 2
            for i in range(q):
                a, b, c, d = x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]
                s, t, u, v = a + b, a - b, c + d, c - d
                y[i], y[q + i], y[2 * q + i], y[3 * q + i] = s + u, t + v, s - u, t - v
            rest >>= 2
        else:
            q = n >> 1
            for i in range(q):
                a, b = x[2 * i], x[2 * i + 1]
                y[i], y[q + i] = a + b, a - b
            rest >>= 1
        x, y = y, x
        swapped = not swapped
    return swapped


@inner
def _forward(z: Any, scale: Any, sign: Any, gain: Any, source: Any, origin: Any, out: Any, x: Any, y: Any) -> None:
    n = len(x)
    for j in range(len(z)):
        x[j] = z[j] * (scale * sign[j])
    for j in range(len(z), n):
        x[j] = 0
    if _hadamard(x, y, n):
        x, y = y, x
    for j in range(n):
        y[j] = x[source[j]] * gain[j]
    if _hadamard(y, x, n):
        x, y = y, x
    write(out, origin, y)


@inner
def _backward(g: Any, sign: Any, gain: Any, source: Any, sum_: Any, x: Any, y: Any) -> None:
    n = len(x)
    for j in range(len(g)):
        x[j] = g[j]
    for j in range(len(g), n):
        x[j] = 0
    if _hadamard(x, y, n):
        x, y = y, x
    for j in range(n):
        y[source[j]] = x[j] * gain[j]
    if _hadamard(y, x, n):
        x, y = y, x
    for j in range(len(sum_)):
        sum_[j] += y[j] * sign[j]


@kernel
def _matvec(z: Any, sign: Any, gain: Any, source: Any, origin: Any, out: Any) -> None:
    (blocks, n), scale = sign.shape, z.dtype.type(len(out) ** -0.5)
    for chunk in prange(min(blocks, CHUNKS)):
        parts = min(blocks, CHUNKS)
        x, y = np.empty(n, z.dtype), np.empty(n, z.dtype)
        for b in range(chunk * blocks // parts, (chunk + 1) * blocks // parts):
            stop, after = min(b * n + n, len(out)), min(b * n + 2 * n, len(out))
            if b + 1 < blocks:
                prefetch(sign[b + 1])
                prefetch(source[b + 1])
                prefetch(gain[b + 1])
                prefetch(out[stop:after])
                prefetch(origin[stop : min(after, len(origin))])
            _forward(z, scale, sign[b], gain[b], source[b], origin[b * n : stop], out[b * n : stop], x, y)


@kernel
def _rmatvec(g: Any, sign: Any, gain: Any, source: Any, out: Any) -> None:
    blocks, n = sign.shape
    totals = np.zeros((min(blocks, CHUNKS), len(out)), g.dtype)
    for chunk in prange(min(blocks, CHUNKS)):
        parts = min(blocks, CHUNKS)
        x, y = np.empty(n, g.dtype), np.empty(n, g.dtype)
        for b in range(chunk * blocks // parts, (chunk + 1) * blocks // parts):
            stop = min(b * n + n, len(g))
            if b + 1 < blocks:
                prefetch(sign[b + 1])
                prefetch(source[b + 1])
                prefetch(gain[b + 1])
                prefetch(g[stop : min(stop + n, len(g))])
            _backward(g[b * n : stop], sign[b], gain[b], source[b], totals[chunk], x, y)
    total(totals, g.dtype.type(len(g) ** -0.5), out)
