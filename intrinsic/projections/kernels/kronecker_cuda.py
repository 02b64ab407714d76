"""S (R1 Z R2^T), tile by tile, in full precision."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.functional import pad

from intrinsic.projections.kernels.pieces_cuda import block, pieces, put

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker

_FLOAT32, _FLOAT64 = (64, 16), (32, 4)  # side of a square tile of results, and how many terms are added at a time
_PROGRAMS = 1024  # how many the adjoint is cut into: a constant, so that its bits do not depend on the device


def matvec_pieces(projection: "Kronecker", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """out = the origins + P z."""
    (rows, columns), (width, count) = projection.left.shape, projection.right.shape
    Z = pad(z, (0, columns * count - projection.dim)).view(columns, count)
    products, (side, depth) = projection.left.to(z.dtype) @ Z, _tile(z)
    with torch.cuda.device_of(out):
        origin = pieces(origins, z)
        _matvec[(triton.cdiv(rows, side), triton.cdiv(width, side))](
            products, projection.right.to(z.dtype), projection.sign, origin.pointer, origin.number, out,
            rows, width, count, projection.full_dim, PIECES=origin.kinds, SIDE=side, DEPTH=depth, num_warps=4,
        )  # fmt: skip


def rmatvec_pieces(projection: "Kronecker", tensors: Sequence[Tensor], out: Tensor) -> None:
    """out = P^T g: a fixed number of partial sums, added in a fixed order."""
    rows, (width, count) = len(projection.left), projection.right.shape
    side, depth = _tile(out)
    tiles, steps = triton.cdiv(rows, side) * triton.cdiv(count, side), triton.cdiv(width, depth)
    steps = triton.cdiv(steps, max(1, min(_PROGRAMS // tiles, steps // 4)))  # per program
    splits = triton.cdiv(width, depth * steps)
    partial = out.new_empty(splits, rows, count)
    with torch.cuda.device_of(out):
        g = pieces(tensors, out)
        _rmatvec[(triton.cdiv(rows, side), triton.cdiv(count, side), splits)](
            g.pointer, g.number, projection.right.to(out.dtype), projection.sign, partial,
            rows, width, count, projection.full_dim, steps, PIECES=g.kinds, SIDE=side, DEPTH=depth, num_warps=4,
        )  # fmt: skip
    total = projection.left.to(out.dtype).T @ partial.sum(0)
    out.copy_(total.view(-1)[: projection.dim])


def _tile(like: Tensor) -> tuple[int, int]:
    return _FLOAT32 if like.dtype == torch.float32 else _FLOAT64


@triton.jit
def _add_product(total: tl.tensor, a: tl.tensor, b: tl.tensor) -> tl.tensor:
    """total + a b, without TF32."""
    if total.dtype == tl.float64:  # Triton's dot of float64 does not compile behind a conversion from int8
        total += tl.sum(a[:, :, None] * b[None, :, :], 1)
    else:
        total = tl.dot(a, b, total, input_precision="ieee")
    return total


@triton.jit
def _matvec(
    products: tl.tensor, right: tl.tensor, sign: tl.tensor, origin: tl.tensor, origins: tl.tensor,
    out: tl.tensor, rows: tl.tensor, width: tl.tensor, count: tl.tensor, full_dim: tl.tensor,
    PIECES: tl.constexpr, SIDE: tl.constexpr, DEPTH: tl.constexpr,
) -> None:  # fmt: skip
    top, start = tl.program_id(0).to(tl.int64) * SIDE, tl.program_id(1).to(tl.int64) * SIDE
    row, column = top + tl.arange(0, SIDE)[:, None], start + tl.arange(0, SIDE)[None, :]
    offset = tl.zeros([SIDE, SIDE], products.dtype.element_ty)
    for low in range(0, count, DEPTH):
        k = low + tl.arange(0, DEPTH)
        a = tl.load(products + row * count + k[None, :], mask=(row < rows) & (k < count)[None, :], other=0)
        b = tl.load(right + column * count + k[:, None], mask=(column < width) & (k < count)[:, None], other=0)
        offset = _add_product(offset, a, b)
    i = row * width + column
    mask = (column < width) & (i < full_dim)
    offset /= tl.sqrt(tl.cast(full_dim, offset.dtype))
    offset *= tl.load(sign + i, mask=mask, other=0).to(offset.dtype)
    if PIECES != 0:
        low = top * width + start
        high = tl.minimum(low + (SIDE - 1) * width + SIDE, full_dim)
        offset += block(origin, origins, i, mask, low, high, offset.dtype, PIECES)
    put(out, i, offset, mask)


@triton.jit
def _rmatvec(
    g: tl.tensor, parts: tl.tensor, right: tl.tensor, sign: tl.tensor, partial: tl.tensor,
    rows: tl.tensor, width: tl.tensor, count: tl.tensor, full_dim: tl.tensor, steps: tl.tensor,
    PIECES: tl.constexpr, SIDE: tl.constexpr, DEPTH: tl.constexpr,
) -> None:  # fmt: skip
    top = tl.program_id(0).to(tl.int64) * SIDE
    row, column = top + tl.arange(0, SIDE)[:, None], tl.program_id(1).to(tl.int64) * SIDE + tl.arange(0, SIDE)[None, :]
    split = tl.program_id(2).to(tl.int64)
    total = tl.zeros([SIDE, SIDE], partial.dtype.element_ty)
    for step in range(steps):
        start = (split * steps + step) * DEPTH
        k = start + tl.arange(0, DEPTH)
        i = row * width + k[None, :]
        mask = (k < width)[None, :] & (i < full_dim)
        low = top * width + start
        high = tl.minimum(low + (SIDE - 1) * width + DEPTH, full_dim)
        a = block(g, parts, i, mask, low, high, total.dtype, PIECES)
        a = a * tl.load(sign + i, mask=mask, other=0).to(a.dtype)
        b = tl.load(right + k[:, None] * count + column, mask=(k < width)[:, None] & (column < count), other=0)
        total = _add_product(total, a, b)
    total /= tl.sqrt(tl.cast(full_dim, total.dtype))
    place = (split * rows + row) * count + column
    tl.store(partial + place, total, mask=(row < rows) & (column < count))
