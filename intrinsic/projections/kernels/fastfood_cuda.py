"""Fastfood, a block to a program: what lies between the two transforms stays in the cache."""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from intrinsic.projections.fastfood import Fastfood

_TILE = 2048  # weights that a program works on at a time, in several blocks if these are smaller
_LARGEST = 1 << 16  # bytes of a block: what the registers of a program hold
# numbers that all programs work on at a time: fewer than fit into the cache of a large GPU; a constant, so that the
# adjoint's bits do not depend on the device
_SCRATCH = 1 << 22


def matvec(projection: "Fastfood", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z, with 4 million numbers of scratch at most.

    By plain torch, with several arrays of full_dim numbers, for blocks above 64 KB: dim > 16,384 in float32, 8,192 in
    float64.
    """
    if projection.sign.shape[1] * z.itemsize > _LARGEST:
        offset = projection.matvec(z)
        out.copy_(origin + offset if origin.numel() else offset)
        return
    programs, steps, tile = _schedule(projection)
    scratch = z.new_empty(programs, max(_TILE, projection.sign.shape[1]))
    with torch.cuda.device_of(out):
        _matvec[(programs,)](
            z, projection.sign, projection.gain, projection.source, origin, out, scratch,
            projection.dim, projection.full_dim, len(projection.sign), steps, ORIGIN=origin.numel() > 0, **tile,
        )  # fmt: skip


def rmatvec(projection: "Fastfood", g: Tensor, out: Tensor) -> None:
    """out = P^T g: a fixed number of partial sums, added in a fixed order. By plain torch where `matvec` is."""
    if projection.sign.shape[1] * g.itemsize > _LARGEST:
        out.copy_(projection.rmatvec(g))
        return
    programs, steps, tile = _schedule(projection)
    scratch = g.new_empty(programs, max(_TILE, projection.sign.shape[1]))
    partial = g.new_empty(programs, projection.dim)
    with torch.cuda.device_of(out):
        _rmatvec[(programs,)](
            g, projection.sign, projection.gain, projection.source, partial, scratch,
            projection.dim, projection.full_dim, len(projection.sign), steps, **tile,
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
    z: tl.tensor, sign: tl.tensor, gain: tl.tensor, source: tl.tensor, origin: tl.tensor, out: tl.tensor,
    scratch: tl.tensor, dim: tl.tensor, full_dim: tl.tensor, blocks: tl.tensor, steps: tl.tensor,
    ORIGIN: tl.constexpr, ROWS: tl.constexpr, BITS: tl.constexpr,
) -> None:  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    row, j = tl.arange(0, ROWS)[:, None], tl.arange(0, 1 << BITS)[None, :]
    place = scratch + (program * ROWS + row << BITS)
    scaled = tl.load(z + j, mask=j < dim, other=0)
    scaled /= tl.sqrt(tl.cast(full_dim, scaled.dtype))
    for step in range(steps):
        block = (program * steps + step) * ROWS + row
        i, mask = (block << BITS) + j, block < blocks
        x = _hadamard(scaled * tl.load(sign + i, mask=mask, other=0).to(scaled.dtype), ROWS, BITS)
        tl.store(place + j, x)
        tl.debug_barrier()
        x = tl.load(place + (tl.load(source + i, mask=mask, other=0).to(tl.int32) & 0xFFFF))
        tl.debug_barrier()  # the next step writes where this one has read
        x = _hadamard(x * tl.load(gain + i, mask=mask, other=0).to(x.dtype), ROWS, BITS)
        if ORIGIN:
            x += tl.load(origin + i, mask=i < full_dim, other=0)
        tl.store(out + i, x, mask=i < full_dim)


@triton.jit
def _rmatvec(
    g: tl.tensor, sign: tl.tensor, gain: tl.tensor, source: tl.tensor, partial: tl.tensor,
    scratch: tl.tensor, dim: tl.tensor, full_dim: tl.tensor, blocks: tl.tensor, steps: tl.tensor,
    ROWS: tl.constexpr, BITS: tl.constexpr,
) -> None:  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    row, j = tl.arange(0, ROWS)[:, None], tl.arange(0, 1 << BITS)[None, :]
    place = scratch + (program * ROWS + row << BITS)
    total = tl.zeros([ROWS, 1 << BITS], g.dtype.element_ty)
    for step in range(steps):
        block = (program * steps + step) * ROWS + row
        i, mask = (block << BITS) + j, block < blocks
        x = _hadamard(tl.load(g + i, mask=i < full_dim, other=0), ROWS, BITS)
        x *= tl.load(gain + i, mask=mask, other=0).to(x.dtype)
        tl.store(place + (tl.load(source + i, mask=mask, other=0).to(tl.int32) & 0xFFFF), x)
        tl.debug_barrier()
        x = tl.load(place + j, mask=mask, other=0)
        tl.debug_barrier()  # the next step writes where this one has read
        total += _hadamard(x, ROWS, BITS) * tl.load(sign + i, mask=mask, other=0).to(x.dtype)
    total /= tl.sqrt(tl.cast(full_dim, total.dtype))
    column = tl.arange(0, 1 << BITS)
    tl.store(partial + program * dim + column, tl.sum(total, 0), mask=column < dim)
