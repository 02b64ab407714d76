"""Fastfood, a block to a program: what lies between the two transforms stays in the cache."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from intrinsic.projections.kernels.pieces_cuda import block, concatenation, pieces, put

if TYPE_CHECKING:
    from intrinsic.projections.fastfood import Fastfood

_TILE = 2048  # weights that a program works on at a time, in several blocks if these are smaller
_LARGEST = 1 << 16  # bytes of a block: what the registers of a program hold
# numbers that all programs work on at a time: fewer than fit into the cache of a large GPU; a constant, so that the
# adjoint's bits do not depend on the device
_SCRATCH = 1 << 22


def matvec_pieces(projection: "Fastfood", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """out = the origins + P z, with 4 million numbers of scratch at most.

    By plain torch, with several arrays of full_dim numbers, for blocks above 64 KB: dim > 16,384 in float32, 8,192 in
    float64.
    """
    if projection.sign.shape[1] * z.itemsize > _LARGEST:
        offset = projection.matvec(z)
        out.copy_(concatenation(origins) + offset if origins else offset)
        return
    programs, steps, tile = _schedule(projection)
    scratch = z.new_empty(programs, max(_TILE, projection.sign.shape[1]))
    with torch.cuda.device_of(out):
        origin = pieces(origins, z)
        _matvec[(programs,)](
            z, projection.sign, projection.gain, projection.source, origin.pointer, origin.number, out, scratch,
            projection.dim, projection.full_dim, len(projection.sign), steps, PIECES=origin.kinds, **tile,
        )  # fmt: skip


def rmatvec_pieces(projection: "Fastfood", tensors: Sequence[Tensor], out: Tensor) -> None:
    """out = P^T g: a fixed number of partial sums, added in a fixed order. By plain torch where `matvec` is."""
    if projection.sign.shape[1] * out.itemsize > _LARGEST:
        out.copy_(projection.rmatvec(concatenation(tensors).to(out.dtype)))
        return
    programs, steps, tile = _schedule(projection)
    scratch = out.new_empty(programs, max(_TILE, projection.sign.shape[1]))
    partial = out.new_empty(programs, projection.dim)
    with torch.cuda.device_of(out):
        g = pieces(tensors, out)
        _rmatvec[(programs,)](
            g.pointer, g.number, projection.sign, projection.gain, projection.source, partial, scratch,
            projection.dim, projection.full_dim, len(projection.sign), steps, PIECES=g.kinds, **tile,
        )  # fmt: skip
    torch.sum(partial, 0, out=out)


def _schedule(projection: "Fastfood") -> tuple[int, int, dict[str, int]]:
    """Programs, the steps of each, and the options of a tile."""
    blocks, n = projection.sign.shape
    size = max(_TILE, n)
    tiles = triton.cdiv(blocks, size // n)
    steps = triton.cdiv(tiles, _SCRATCH // size)
    options = {"ROWS": size // n, "BITS": n.bit_length() - 1, "num_warps": min(16, size // 512)}
    return triton.cdiv(tiles, steps), steps, options


@triton.jit
def _hadamard(x: tl.tensor, ROWS: tl.constexpr, BITS: tl.constexpr) -> tl.tensor:
    """H x for each row: (ROWS, 2**BITS). One axis for each bit of the index, each transformed in its turn."""
    cube = x.reshape([ROWS] + [2] * BITS)
    for bit in tl.static_range(BITS):
        second = tl.arange(0, 2).reshape([1] * (bit + 1) + [2] + [1] * (BITS - bit - 1)) == 1
        difference = tl.sum(tl.where(second, -cube, cube), bit + 1, keep_dims=True)
        cube = tl.where(second, difference, tl.sum(cube, bit + 1, keep_dims=True))
    return cube.reshape([ROWS, 1 << BITS])


@triton.jit
def _matvec(
    z: tl.tensor, sign: tl.tensor, gain: tl.tensor, source: tl.tensor, origin: tl.tensor, count: tl.tensor,
    out: tl.tensor, scratch: tl.tensor, dim: tl.tensor, full_dim: tl.tensor, blocks: tl.tensor, steps: tl.tensor,
    PIECES: tl.constexpr, ROWS: tl.constexpr, BITS: tl.constexpr,
) -> None:  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    row, j = tl.arange(0, ROWS)[:, None], tl.arange(0, 1 << BITS)[None, :]
    place = scratch + (program * ROWS + row << BITS)
    scaled = tl.load(z + j, mask=j < dim, other=0)
    scaled /= tl.sqrt(tl.cast(full_dim, scaled.dtype))
    for step in range(steps):
        first = (program * steps + step) * ROWS
        i, mask = (first + row << BITS) + j, first + row < blocks
        x = _hadamard(scaled * tl.load(sign + i, mask=mask, other=0).to(scaled.dtype), ROWS, BITS)
        tl.store(place + j, x)
        tl.debug_barrier()
        x = tl.load(place + (tl.load(source + i, mask=mask, other=0).to(tl.int32) & 0xFFFF))
        tl.debug_barrier()  # the next step writes where this one has read
        x = _hadamard(x * tl.load(gain + i, mask=mask, other=0).to(x.dtype), ROWS, BITS)
        if PIECES != 0:
            high = tl.minimum(first + ROWS << BITS, full_dim)
            x += block(origin, count, i, i < full_dim, first << BITS, high, x.dtype, PIECES)
        put(out, i, x, i < full_dim)


@triton.jit
def _rmatvec(
    g: tl.tensor, count: tl.tensor, sign: tl.tensor, gain: tl.tensor, source: tl.tensor, partial: tl.tensor,
    scratch: tl.tensor, dim: tl.tensor, full_dim: tl.tensor, blocks: tl.tensor, steps: tl.tensor,
    PIECES: tl.constexpr, ROWS: tl.constexpr, BITS: tl.constexpr,
) -> None:  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    row, j = tl.arange(0, ROWS)[:, None], tl.arange(0, 1 << BITS)[None, :]
    place = scratch + (program * ROWS + row << BITS)
    total = tl.zeros([ROWS, 1 << BITS], partial.dtype.element_ty)
    for step in range(steps):
        first = (program * steps + step) * ROWS
        i, mask = (first + row << BITS) + j, first + row < blocks
        high = tl.minimum(first + ROWS << BITS, full_dim)
        x = block(g, count, i, i < full_dim, first << BITS, high, total.dtype, PIECES)
        x = _hadamard(x, ROWS, BITS)
        x *= tl.load(gain + i, mask=mask, other=0).to(x.dtype)
        tl.store(place + (tl.load(source + i, mask=mask, other=0).to(tl.int32) & 0xFFFF), x)
        tl.debug_barrier()
        x = tl.load(place + j, mask=mask, other=0)
        tl.debug_barrier()  # the next step writes where this one has read
        total += _hadamard(x, ROWS, BITS) * tl.load(sign + i, mask=mask, other=0).to(x.dtype)
    total /= tl.sqrt(tl.cast(full_dim, total.dtype))
    column = tl.arange(0, 1 << BITS)
    tl.store(partial + program * dim + column, tl.sum(total, 0), mask=column < dim)
