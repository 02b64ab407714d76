"""A long vector in several tensors, of any floating dtypes, for kernels that go through it in stretches.

In Python, `table` describes the tensors. In a kernel, whose buffers hold a stretch each, of the dtype it computes in:

    x = stretch(pieces, low, high, buffer)   # numbers low ... high - 1: the memory itself where it can be, else a copy
    y = target(outs, low, high, another)     # where they are to be written: the memory itself, or the buffer
    for i in range(high - low):
        y[i] = x[i] + ...
    put(outs, low, high, another)            # writes what `target` has left in the buffer

Every number of a vector without tensors, or without numbers in them, is zero. The vectors may be the same memory. What
is written with less precision is rounded once, to the nearest even: as torch does it, from float64 by way of float32.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import carray, types
from numba.extending import intrinsic
from torch import Tensor

from intrinsic.projections.kernels.compile import inner
from intrinsic.projections.kernels.halves import from_bfloat16, from_float16, to_bfloat16, to_float16

STRETCH = 2048  # numbers in a stretch: a few of them fit into the first-level cache
_KINDS = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_START, _ADDRESS, _KIND = range(3)  # the columns of a table


def table(tensors: Sequence[Tensor]) -> np.ndarray:
    """Where each tensor begins in the vector, its address, its dtype; then the vector's length: (tensors + 1, 3) int64.

    Of contiguous tensors on the CPU, which must stay alive while a kernel runs.
    """
    rows: list[int] = []
    start = 0
    for tensor in tensors:
        rows += (start, tensor.data_ptr(), _KINDS[tensor.dtype])
        start += tensor.numel()
    rows += (start, 0, 0)
    return np.frombuffer(array("q", rows), np.int64).reshape(-1, 3)  # np.array takes twice as long


def relocate(pieces: np.ndarray, tensors: Sequence[Tensor]) -> None:
    """Have a table describe other tensors, of the same sizes and dtypes."""
    for index, tensor in enumerate(tensors):  # of few the fastest
        pieces[index, _ADDRESS] = tensor.data_ptr()


def _point(typingctx: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


def _place(typingctx: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.int64))

    return types.int64(array), generate


_pointer: Any = intrinsic(_point)
place: Any = intrinsic(_place)  # (array): the address of its first number; it must live as long as that is used


@inner
def size(pieces: Any) -> Any:
    """The number of numbers."""
    return pieces[len(pieces) - 1, _START]


@inner
def _piece(pieces: Any, low: Any) -> Any:
    """The piece in which number `low` lies."""
    first, last = 0, len(pieces) - 1
    while last - first > 1:
        middle = (first + last) // 2
        if pieces[middle, _START] <= low:  # of equal starts the last: the others have no numbers
            first = middle
        else:
            last = middle
    return first


@inner
def numbers(address: Any, count: Any, like: Any) -> Any:
    """As many numbers at an address, of another array's dtype."""
    return carray(_pointer(address), count, like.dtype)


@inner
def address(pieces: Any, low: Any, high: Any, buffer: Any) -> Any:
    """The address of numbers low ... high - 1, if they lie in one piece of the buffer's dtype, else 0."""
    piece, kind = _piece(pieces, low), 0 if buffer.itemsize == 4 else 1
    if high > size(pieces) or pieces[piece + 1, _START] < high or pieces[piece, _KIND] != kind:
        return np.int64(0)
    return pieces[piece, _ADDRESS] + (low - pieces[piece, _START]) * buffer.itemsize


@inner
def _read(address: Any, kind: Any, low: Any, out: Any) -> None:
    if kind == 0:
        singles = carray(_pointer(address + 4 * low), len(out), np.float32)
        for i in range(len(out)):
            out[i] = singles[i]
    elif kind == 1:
        doubles = carray(_pointer(address + 8 * low), len(out), np.float64)
        for i in range(len(out)):
            out[i] = doubles[i]
    elif kind == 2:
        halves = carray(_pointer(address + 2 * low), len(out), np.uint16)
        for i in range(len(out)):
            out[i] = from_bfloat16(halves[i])
    else:
        halves = carray(_pointer(address + 2 * low), len(out), np.uint16)
        for i in range(len(out)):
            out[i] = from_float16(halves[i])


@inner
def _write(address: Any, kind: Any, low: Any, numbers: Any) -> None:
    if kind == 0:
        singles = carray(_pointer(address + 4 * low), len(numbers), np.float32)
        for i in range(len(numbers)):
            singles[i] = numbers[i]
    elif kind == 1:
        doubles = carray(_pointer(address + 8 * low), len(numbers), np.float64)
        for i in range(len(numbers)):
            doubles[i] = numbers[i]
    elif kind == 2:
        halves = carray(_pointer(address + 2 * low), len(numbers), np.uint16)
        for i in range(len(numbers)):
            halves[i] = to_bfloat16(numbers[i])
    else:
        halves = carray(_pointer(address + 2 * low), len(numbers), np.uint16)
        for i in range(len(numbers)):
            halves[i] = to_float16(numbers[i])


@inner
def stretch(pieces: Any, low: Any, high: Any, buffer: Any) -> Any:
    """Numbers low ... high - 1, to be read: where they lie, if in one piece of the buffer's dtype, else in the buffer.

    Beyond the vector's end, and in one without numbers, they are zero.
    """
    found = address(pieces, low, high, buffer)
    if found:
        return numbers(found, high - low, buffer)
    into = buffer[: high - low]
    end, piece, at = min(high, size(pieces)), _piece(pieces, low), low
    while at < end:
        start, stop = pieces[piece, _START], min(pieces[piece + 1, _START], end)
        if at < stop:
            _read(pieces[piece, _ADDRESS], pieces[piece, _KIND], at - start, into[at - low : stop - low])
            at = stop
        piece += 1
    for i in range(max(end - low, 0), high - low):
        into[i] = 0
    return into


@inner
def target(pieces: Any, low: Any, high: Any, buffer: Any) -> Any:
    """Where numbers low ... high - 1 are to be written before `put`: where they are to lie, or the buffer."""
    found = address(pieces, low, high, buffer)
    return numbers(found, high - low, buffer) if found else buffer[: high - low]


@inner
def put(pieces: Any, low: Any, high: Any, buffer: Any) -> None:
    """Write what `target`, called with the same arguments, has left in the buffer."""
    if address(pieces, low, high, buffer):
        return
    piece, at = _piece(pieces, low), low
    while at < high:
        start, stop = pieces[piece, _START], min(pieces[piece + 1, _START], high)
        if at < stop:
            _write(pieces[piece, _ADDRESS], pieces[piece, _KIND], at - start, buffer[at - low : stop - low])
            at = stop
        piece += 1
