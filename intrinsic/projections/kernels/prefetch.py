"""Prefetches: memory that is asked for before it is needed."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intrinsic.projections.kernels.compile import inner

_LINE = 64  # bytes


def _touch(typingctx: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        kind = ir.IntType(32)
        function = builder.module.declare_intrinsic("llvm.prefetch", [place.type], _type(place.type))
        builder.call(function, [place, kind(0), kind(2), kind(1)])  # to read, into the second-level cache, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def _type(pointer: Any) -> Any:
    kind = ir.IntType(32)
    return ir.FunctionType(ir.VoidType(), [pointer, kind, kind, kind])


touch: Any = intrinsic(_touch)


@inner
def prefetch(array: Any) -> None:
    """Ask for a contiguous array: prefetchers of the processor stop at the end of a page, and begin anew too late."""
    for i in range(0, len(array), _LINE // array.itemsize):
        touch(array, i)
