"""A long vector in several tensors on a GPU, of any floating dtypes, for kernels that go through it in blocks.

In Python, `pieces` says where the tensors are. In a kernel:

    x = block(pointer, count, i, mask, low, high, dtype, PIECES)   # numbers i, all within low ... high - 1
    x = entries(pointer, count, i, mask, dtype, PIECES)            # numbers i from anywhere

A table of addresses on the device takes the place of a concatenation, which costs 2 D numbers of traffic (8 bytes a
float32: 0.24 ms for 10^8 at 3.35 TB/s) and D of memory. Autograd's new gradients lie, from step to step, where the
allocator had put the last ones, so that tables are kept by their addresses; a new one is written by a kernel whose
arguments they are, 16 tensors a launch: no host memory is read later, so that a CUDA graph may capture it. These
numbers are computed, not measured: no GPU was at hand.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

_KINDS = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_ROWS = 16  # tensors whose places are arguments of one launch
_LARGE = 1 << 62  # added to each argument, so that all are 64-bit integers to the compiler
_KEPT = 64  # tables that are kept
_TABLES: dict[tuple[Any, ...], Tensor] = {}


class Pieces(NamedTuple):
    """What kernels are told of a vector."""

    pointer: Tensor  # the tensor itself if it is one, or the table
    number: int  # of tensors
    kinds: int  # 0: no tensor; -1: one; else the sum of 2**kind over the dtypes


def pieces(tensors: Sequence[Tensor], like: Tensor) -> Pieces:
    """Where the numbers of contiguous tensors are, on the device of `like`; no tensors mean zeros."""
    if len(tensors) < 2:
        return Pieces(tensors[0], 1, -1) if tensors else Pieces(like, 0, 0)
    rows, start, kinds = [], 0, 0
    for tensor in tensors:
        kind = _KINDS[tensor.dtype]
        rows += [start << 2 | kind, tensor.data_ptr()]
        start += tensor.numel()
        kinds |= 1 << kind
    return Pieces(_table((*rows, start << 2, 0), like), len(tensors), kinds)


def concatenation(tensors: Sequence[Tensor]) -> Tensor:
    """The numbers in one tensor: the tensor itself if it is one, else a copy, in the dtype that holds all."""
    return tensors[0].view(-1) if len(tensors) == 1 else torch.cat([tensor.view(-1) for tensor in tensors])


def _table(numbers: tuple[int, ...], like: Tensor) -> Tensor:
    """(tensors + 1, 2) int64: where a tensor begins times 4 + its kind, its address; then the vector's end.

    On a stream of its own each, as others would have to wait until it is written. While a CUDA graph is captured it is
    written by the graph, into the graph's memory.
    """
    capturing = like.is_cuda and torch.cuda.is_current_stream_capturing()
    key = like.device, torch.cuda.current_stream(like.device).cuda_stream if like.is_cuda else 0, numbers
    if not capturing and key in _TABLES:
        return _TABLES[key]
    table = like.new_empty(len(numbers), dtype=torch.int64)
    for low in range(0, len(numbers), 2 * _ROWS):
        part = [_LARGE + number for number in numbers[low : low + 2 * _ROWS]]
        _fill[(1,)](table, low, len(numbers), *part, *[_LARGE] * (2 * _ROWS - len(part)))
    if not capturing:
        while len(_TABLES) >= _KEPT:
            _TABLES.pop(next(iter(_TABLES)), None)
        _TABLES[key] = table
    return table


_ARGUMENTS = [f"n{k}" for k in range(2 * _ROWS)]


@triton.jit(do_not_specialize=["low", "end", *_ARGUMENTS])
def _fill(
    table: tl.tensor, low: tl.tensor, end: tl.tensor,
    n0: tl.tensor, n1: tl.tensor, n2: tl.tensor, n3: tl.tensor, n4: tl.tensor, n5: tl.tensor, n6: tl.tensor,
    n7: tl.tensor, n8: tl.tensor, n9: tl.tensor, n10: tl.tensor, n11: tl.tensor, n12: tl.tensor, n13: tl.tensor,
    n14: tl.tensor, n15: tl.tensor, n16: tl.tensor, n17: tl.tensor, n18: tl.tensor, n19: tl.tensor, n20: tl.tensor,
    n21: tl.tensor, n22: tl.tensor, n23: tl.tensor, n24: tl.tensor, n25: tl.tensor, n26: tl.tensor, n27: tl.tensor,
    n28: tl.tensor, n29: tl.tensor, n30: tl.tensor, n31: tl.tensor,
) -> None:  # fmt: skip
    numbers = (
        n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13, n14, n15, n16, n17, n18, n19, n20, n21, n22, n23,
        n24, n25, n26, n27, n28, n29, n30, n31,
    )  # fmt: skip
    for k in tl.static_range(32):
        tl.store(table + low + k, numbers[k] - 0x4000000000000000, mask=low + k < end)


@triton.jit
def _piece(table: tl.tensor, count: tl.tensor, i: tl.tensor) -> tl.tensor:
    """The piece in which number i lies: of equal starts the last, as the others have no numbers."""
    first, left = i.to(tl.int32) * 0, count
    while left > 1:
        half = left // 2
        first = tl.where((tl.load(table + 2 * (first + half)) >> 2) <= i, first + half, first)
        left -= half
    return first


@triton.jit
def _read(
    address: tl.tensor, kind: tl.tensor, k: tl.tensor, mask: tl.tensor, found: tl.tensor, KINDS: tl.constexpr
) -> tl.tensor:
    """Numbers k of a piece where the mask is set, else `found`."""
    if KINDS & 1:
        here = mask if KINDS == 1 else mask & (k * 0 + kind == 0)
        found = tl.where(here, tl.load(address.to(tl.pointer_type(tl.float32)) + k, here, 0).to(found.dtype), found)
    if KINDS & 2:
        here = mask if KINDS == 2 else mask & (k * 0 + kind == 1)
        found = tl.where(here, tl.load(address.to(tl.pointer_type(tl.float64)) + k, here, 0).to(found.dtype), found)
    if KINDS & 4:
        here = mask if KINDS == 4 else mask & (k * 0 + kind == 2)
        found = tl.where(here, tl.load(address.to(tl.pointer_type(tl.bfloat16)) + k, here, 0).to(found.dtype), found)
    if KINDS & 8:
        here = mask if KINDS == 8 else mask & (k * 0 + kind == 3)
        found = tl.where(here, tl.load(address.to(tl.pointer_type(tl.float16)) + k, here, 0).to(found.dtype), found)
    return found


@triton.jit
def block(
    x: tl.tensor, count: tl.tensor, i: tl.tensor, mask: tl.tensor, low: tl.tensor, high: tl.tensor,
    DTYPE: tl.constexpr, PIECES: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Numbers i, all of low ... high - 1, of the vector's numbers too, where the mask is set, else 0."""
    if PIECES == -1:
        found = tl.load(x + i, mask=mask, other=0).to(DTYPE)
    else:
        found = tl.zeros(i.shape, DTYPE)
        if PIECES > 0:
            piece = _piece(x, count, low)
            place = tl.load(x + 2 * piece)
            while (place >> 2) < high:
                following = tl.load(x + 2 * piece + 2)
                inside = mask & (i >= (place >> 2)) & (i < (following >> 2))
                found = _read(tl.load(x + 2 * piece + 1), place & 3, i - (place >> 2), inside, found, PIECES)
                place = following
                piece += 1
    return found


@triton.jit
def entries(
    x: tl.tensor, count: tl.tensor, i: tl.tensor, mask: tl.tensor, DTYPE: tl.constexpr, PIECES: tl.constexpr
) -> tl.tensor:
    """Numbers i, from anywhere, where the mask is set, else 0: each looks for its piece in log2(count) steps."""
    if PIECES == -1:
        found = tl.load(x + i, mask=mask, other=0).to(DTYPE)
    else:
        found = tl.zeros(i.shape, DTYPE)
        if PIECES > 0:
            piece = _piece(x, count, i.to(tl.int64))
            place = tl.load(x + 2 * piece)
            found = _read(tl.load(x + 2 * piece + 1), place & 3, i - (place >> 2), mask, found, PIECES)
    return found


@triton.jit
def put(out: tl.tensor, i: tl.tensor, numbers: tl.tensor, mask: tl.tensor) -> None:
    """Write numbers, rounded once: to half precision from float64 by way of float32, as torch does."""
    if out.dtype.element_ty.primitive_bitwidth == 16:
        numbers = numbers.to(tl.float32)
    tl.store(out + i, numbers.to(out.dtype.element_ty), mask=mask)
