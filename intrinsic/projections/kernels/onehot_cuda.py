"""One gather, and sums over contiguous groups."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from intrinsic.projections.kernels.pieces_cuda import block, concatenation, pieces, put

if TYPE_CHECKING:
    from intrinsic.projections.onehot import OneHot

_BLOCK = 1024  # weights of a program
_PROGRAMS = 4096  # how many the adjoint is cut into: a constant, so that its bits do not depend on the device


def matvec_pieces(projection: "OneHot", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """out = the origins + P z."""
    size, larger = divmod(projection.full_dim, projection.dim)
    with torch.cuda.device_of(out):
        origin = pieces(origins, z)
        _matvec[(triton.cdiv(projection.full_dim, _BLOCK),)](
            z, projection.code, origin.pointer, origin.number, out, projection.full_dim, size, larger,
            PIECES=origin.kinds, BLOCK=_BLOCK,
        )  # fmt: skip


def rmatvec_pieces(projection: "OneHot", tensors: Sequence[Tensor], out: Tensor) -> None:
    """out = P^T g: the weights of a group are summed in the order that `order` lists them, without atomics.

    Several pieces are concatenated, which costs 8 full_dim bytes of traffic in float32 and 4 in half precision: 0.24
    and 0.12 ms for 10^8 weights on an H100. The weights of a group lie anywhere, and to look for the piece of each
    would take 8 steps for 200 pieces, 0.6 ms by a count of the reads of caches. Computed, not measured.
    """
    size, larger = divmod(projection.full_dim, projection.dim)
    width = min(_BLOCK, triton.next_power_of_2(size + 1))
    groups = _BLOCK // width
    tiles, steps = triton.cdiv(projection.dim, groups), triton.cdiv(size + 1, width)
    steps = triton.cdiv(steps, max(1, min(_PROGRAMS // tiles, steps // 4)))  # per program
    splits = triton.cdiv(size + 1, width * steps)
    g, partial = concatenation(tensors), out.new_empty(splits, projection.dim)
    with torch.cuda.device_of(out):
        _rmatvec[(tiles, splits)](
            g, projection.order, projection.code, partial, projection.dim, size, larger, steps,
            GROUPS=groups, WIDTH=width,
        )  # fmt: skip
    torch.sum(partial, 0, out=out)


@triton.jit
def _scale(size: tl.tensor, larger: tl.tensor, group: tl.tensor, number: tl.tensor) -> tl.tensor:
    """number / sqrt(|group|): the first `larger` groups have one weight more than `size`."""
    small, large = 1 / tl.sqrt(tl.cast(size, number.dtype)), 1 / tl.sqrt(tl.cast(size + 1, number.dtype))
    return number * tl.where(group < larger, large, small)


@triton.jit
def _matvec(
    z: tl.tensor, code: tl.tensor, origin: tl.tensor, count: tl.tensor, out: tl.tensor, full_dim: tl.tensor,
    size: tl.tensor, larger: tl.tensor, PIECES: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    low = tl.program_id(0).to(tl.int64) * BLOCK
    i = low + tl.arange(0, BLOCK)
    mask = i < full_dim
    codes = tl.load(code + i, mask=mask, other=0)
    group = codes >> 1
    offset = _scale(size, larger, group, tl.load(z + group, mask=mask, other=0))
    offset = tl.where((codes & 1) != 0, offset, -offset)
    if PIECES != 0:
        offset += block(origin, count, i, mask, low, tl.minimum(low + BLOCK, full_dim), offset.dtype, PIECES)
    put(out, i, offset, mask)


@triton.jit
def _rmatvec(
    g: tl.tensor, order: tl.tensor, code: tl.tensor, partial: tl.tensor, dim: tl.tensor, size: tl.tensor,
    larger: tl.tensor, steps: tl.tensor, GROUPS: tl.constexpr, WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    group = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    split = tl.program_id(1).to(tl.int64)
    start = group * size + tl.minimum(group, larger)
    count = tl.where(group < dim, size + (group < larger).to(tl.int64), 0)
    total = tl.zeros([GROUPS, WIDTH], partial.dtype.element_ty)
    for step in range(steps):
        k = ((split * steps + step) * WIDTH + tl.arange(0, WIDTH))[None, :]
        mask = k < count[:, None]
        i = tl.load(order + start[:, None] + k, mask=mask, other=0)
        term = tl.load(g + i, mask=mask, other=0).to(total.dtype)
        codes = tl.load(code + i, mask=mask, other=0, eviction_policy="evict_last")  # smaller than g: may stay cached
        total += tl.where((codes & 1) != 0, term, -term)
    total = _scale(size, larger, group, tl.sum(total, 1))
    tl.store(partial + split * dim + group, total, mask=group < dim)
