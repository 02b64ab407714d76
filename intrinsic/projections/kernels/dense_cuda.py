"""Rademacher signs, drawn from their stream where they are used: no entry of P is ever in memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from intrinsic.projections.kernels.pieces_cuda import block, pieces, put

if TYPE_CHECKING:
    from intrinsic.projections.dense import Dense

# A program is one warp. Each of its 32 threads calls Philox once for a column of its own, 128 signs; then it looks at
# one bit of all 128 words.
_PROGRAMS = 4096  # how many the adjoint is cut into: a constant, so that its bits do not depend on the device


def matvec_pieces(projection: "Dense", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """out = the origins + P z: each call of Philox gives the signs of 128 consecutive rows."""
    with torch.cuda.device_of(out):
        origin = pieces(origins, z)
        _matvec[(triton.cdiv(projection.full_dim, 128),)](
            z, _seed(projection), origin.pointer, origin.number, out, projection.dim, projection.full_dim,
            PIECES=origin.kinds, COUNTERS=1, LANES=32, num_warps=1,
        )  # fmt: skip


def rmatvec_pieces(projection: "Dense", tensors: Sequence[Tensor], out: Tensor) -> None:
    """out = P^T g: a fixed number of partial sums, added in a fixed order."""
    tiles, steps = triton.cdiv(projection.dim, 32), triton.cdiv(projection.full_dim, 128)
    steps = triton.cdiv(steps, max(1, min(_PROGRAMS // tiles, steps // 4)))  # per program
    splits = triton.cdiv(projection.full_dim, 128 * steps)
    partial = out.new_empty(splits, projection.dim)
    with torch.cuda.device_of(out):
        g = pieces(tensors, out)
        _rmatvec[(tiles, splits)](
            g.pointer, g.number, _seed(projection), partial, projection.dim, projection.full_dim, steps,
            PIECES=g.kinds, COUNTERS=1, LANES=32, num_warps=1,
        )  # fmt: skip
    torch.sum(partial, 0, out=out)


def _seed(projection: "Dense") -> int:
    return projection.seed & (1 << 64) - 1


@triton.jit
def _signs(
    seed: tl.tensor, counter: tl.tensor, lane: tl.tensor, COUNTERS: tl.constexpr, LANES: tl.constexpr
) -> tl.tensor:
    """Whether P > 0 in rows 128 counter ... 128 counter + 127: (COUNTERS, LANES, 4, 32).

    Philox4x32-10: see intrinsic.rng. Its rounds are a `while` loop, through which the compiler does not propagate
    layouts: else each of the 32 threads that look at the bits of a word would draw it.
    """
    zero = tl.zeros([COUNTERS, LANES], tl.uint32)
    x0, x1 = zero + counter.to(tl.uint32)[:, None], zero + (counter.to(tl.int64) >> 32).to(tl.uint32)[:, None]
    x2, x3 = zero + lane.to(tl.uint32)[None, :], zero + (lane.to(tl.int64) >> 32).to(tl.uint32)[None, :]
    key0, key1 = seed.to(tl.uint32), (seed.to(tl.uint64) >> 32).to(tl.uint32)
    rounds = 0
    while rounds < 10:
        high0, high1 = tl.umulhi(x0, 0xD2511F53), tl.umulhi(x2, 0xCD9E8D57)
        x1, x3 = high1 ^ x1 ^ key0, high0 ^ x3 ^ key1
        x0, x1, x2, x3 = x1, x2 * 0xCD9E8D57, x3, x0 * 0xD2511F53
        key0, key1 = key0 + 0x9E3779B9, key1 + 0xBB67AE85
        rounds += 1
    words = tl.join(tl.join(x0, x2), tl.join(x1, x3)).reshape([COUNTERS, LANES, 4, 1])
    bit = tl.full([32], 1, tl.uint32) << tl.arange(0, 32).to(tl.uint32)
    return (words & bit[None, None, None, :]) != 0


@triton.jit
def _rows(counter: tl.tensor) -> tl.tensor:
    """128 counter ... 128 counter + 127: (counters, 1, 4, 32)."""
    return 128 * counter[:, None, None, None] + tl.arange(0, 128).reshape([1, 1, 4, 32])


@triton.jit(do_not_specialize=["seed"])
def _matvec(
    z: tl.tensor, seed: tl.tensor, origin: tl.tensor, count: tl.tensor, out: tl.tensor, dim: tl.tensor,
    full_dim: tl.tensor, PIECES: tl.constexpr, COUNTERS: tl.constexpr, LANES: tl.constexpr,
) -> None:  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * COUNTERS
    counter = first + tl.arange(0, COUNTERS)
    offset = tl.zeros([COUNTERS, 4, 32], z.dtype.element_ty)
    scale = 1 / tl.sqrt(tl.cast(full_dim, offset.dtype))
    for low in range(0, dim, LANES):
        lane = low + tl.arange(0, LANES)
        number = scale * tl.load(z + lane, mask=lane < dim, other=0)[None, :, None, None]
        offset += tl.sum(tl.where(_signs(seed, counter, lane, COUNTERS, LANES), number, -number), 1)
    row = _rows(counter).reshape([COUNTERS, 4, 32])
    if PIECES != 0:
        high = tl.minimum(128 * (first + COUNTERS), full_dim)
        offset += block(origin, count, row, row < full_dim, 128 * first, high, offset.dtype, PIECES)
    put(out, row, offset, row < full_dim)


@triton.jit(do_not_specialize=["seed"])
def _rmatvec(
    g: tl.tensor, count: tl.tensor, seed: tl.tensor, partial: tl.tensor, dim: tl.tensor, full_dim: tl.tensor,
    steps: tl.tensor, PIECES: tl.constexpr, COUNTERS: tl.constexpr, LANES: tl.constexpr,
) -> None:  # fmt: skip
    lane = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)
    split = tl.program_id(1).to(tl.int64)
    total = tl.zeros([LANES, 32], partial.dtype.element_ty)
    for step in range(steps):
        first = (split * steps + step) * COUNTERS
        counter = first + tl.arange(0, COUNTERS)
        row = _rows(counter)
        high = tl.minimum(128 * (first + COUNTERS), full_dim)
        number = block(g, count, row, row < full_dim, 128 * first, high, total.dtype, PIECES)
        signed = tl.where(_signs(seed, counter, lane, COUNTERS, LANES), number, -number)
        total += tl.sum(tl.sum(signed, 2), 0)
    scale = 1 / tl.sqrt(tl.cast(full_dim, total.dtype))
    tl.store(partial + split * dim + lane, scale * tl.sum(total, 1), mask=lane < dim)
