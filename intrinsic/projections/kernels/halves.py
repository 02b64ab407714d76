"""bfloat16 and float16 in kernels, by their bits: no instruction that a processor may lack, none that reads a mode."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intrinsic.projections.kernels.compile import inner


def _same_bits(source: Any, target: Any, kind: Any) -> Any:
    @intrinsic
    def function(typingctx: Any, number: Any) -> Any:
        return target(source), lambda context, builder, signature, arguments: builder.bitcast(arguments[0], kind)

    return function


_bits = _same_bits(types.float32, types.uint32, ir.IntType(32))
_number = _same_bits(types.uint32, types.float32, ir.FloatType())


@inner
def from_bfloat16(half: Any) -> Any:
    """A float32 from the upper half of its bits."""
    return _number(np.uint32(np.uint32(half) << 16))


@inner
def to_bfloat16(x: Any) -> Any:
    """The bits of the nearest bfloat16, of two equally near the even one."""
    bits = _bits(np.float32(x))
    rounded = np.uint32(bits + np.uint32(0x7FFF) + np.uint32((bits >> 16) & 1)) >> 16
    return np.uint16(0x7FC0) if bits & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000) else np.uint16(rounded)  # NaN


@inner
def from_float16(half: Any) -> Any:
    """A float32: 5 bits of exponent, biased by 15 and not by 127, and 10 of mantissa."""
    bits = np.uint32(half) & np.uint32(0x7FFF)
    exponent = bits & np.uint32(0x7C00)
    bias = np.uint32(224 if exponent == 0x7C00 else 112) << 23  # 31, of infinity and NaN, becomes 255
    normal = np.uint32(np.uint32(bits << 13) + bias)
    small = _bits(np.float32(np.int32(bits)) * np.float32(2**-24))  # an exponent of zero: that many times 2^-24
    sign = np.uint32((np.uint32(half) & np.uint32(0x8000)) << 16)
    return _number(np.uint32((small if exponent == 0 else normal) | sign))


@inner
def to_float16(x: Any) -> Any:
    """The bits of the nearest float16, of two equally near the even one."""
    bits = _bits(np.float32(x))
    sign, size = np.uint32(bits >> 16) & np.uint32(0x8000), np.uint32(bits & np.uint32(0x7FFFFFFF))
    # to 10 of 23 bits of mantissa; the new bias of the exponent is 112 less
    normal = np.uint32(size - np.uint32(112 << 23) + np.uint32(0xFFF) + np.uint32((size >> 13) & 1)) >> 13
    # beside 1/2 the last bit of a float32 is 2^-24, that of a float16 whose exponent is zero: the addition rounds
    small = np.uint32(_bits(_number(size) + np.float32(0.5)) - np.uint32(0x3F000000))
    found = small if size < np.uint32(113 << 23) else np.uint32(normal)
    found = found if size < np.uint32(0x477FF000) else np.uint32(0x7C00)  # 65,520 and above
    found = found if size <= np.uint32(0x7F800000) else np.uint32(0x7E00)  # NaN
    return np.uint16(found | sign)
