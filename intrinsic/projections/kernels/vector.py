"""A vector of 16 numbers as a value in kernels: LLVM's own, which it maps to what the processor has.

What a loop over arrays cannot say: sums that stay in registers while other arrays are gone through.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

LANES = 16
_Parts = tuple[Any, Any, Any, Any]  # context, builder, signature, arguments


class Vector(types.Type):
    """Numba's type of a vector of 16 numbers."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"vector({dtype})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.dtype).get_value_type(), LANES))


def place(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: Any) -> Any:
    """The address of element `index` of an array of Numba's type `kind`, as that of an LLVM vector."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _place(parts: _Parts, vector: Any) -> Any:
    context, builder, signature, (array, index, *_) = parts
    return place(context, builder, signature.args[0], array, index, vector)


def convert(builder: Any, value: Any, vector: Any) -> Any:
    """Signed integers, or numbers of less precision, as another LLVM vector."""
    if value.type == vector:
        return value
    integer = isinstance(value.type.element, ir.IntType)
    return builder.sitofp(value, vector) if integer else builder.fpext(value, vector)


def _load(typingctx: Any, array: Any, index: Any) -> Any:
    def generate(*parts: Any) -> Any:
        context, builder, *_ = parts
        vector = ir.VectorType(context.get_value_type(array.dtype), LANES)
        return builder.load(_place(parts, vector), align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.int64), generate


def _store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    def generate(*parts: Any) -> Any:
        context, builder, _, (_, _, value) = parts
        builder.store(value, _place(parts, value.type), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


def _load_as(typingctx: Any, array: Any, index: Any, like: Any) -> Any:
    def generate(*parts: Any) -> Any:
        context, builder, *_ = parts
        value = builder.load(_place(parts, ir.VectorType(context.get_value_type(array.dtype), LANES)), align=1)
        return convert(builder, value, ir.VectorType(context.get_value_type(like.dtype), LANES))

    return Vector(like.dtype)(array, types.int64, like), generate


def spread(builder: Any, value: Any) -> Any:
    """An LLVM vector of 16 times a value."""
    vector, index = ir.VectorType(value.type, LANES), ir.IntType(32)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, index(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))


def _splat(typingctx: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return spread(builder, arguments[0])

    return Vector(number)(number), generate


def _sum(typingctx: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, index = arguments[0], ir.IntType(32)
        half = LANES // 2
        while half:
            low, high = (ir.Constant(ir.VectorType(index, half), [*range(at, at + half)]) for at in (0, half))
            value = builder.fadd(builder.shuffle_vector(value, value, low), builder.shuffle_vector(value, value, high))
            half //= 2
        return builder.extract_element(value, index(0))

    return vector.dtype(vector), generate


def _arithmetic(operation: str) -> Any:
    def build(typingctx: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(*arguments)

        return a(a, b), generate

    function: Any = intrinsic(build)

    def choose(a: Any, b: Any) -> Any:
        return apply if isinstance(a, Vector) and a == b else None

    def apply(a: Any, b: Any) -> Any:
        return function(a, b)

    return choose


for _operator, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    overload(_operator)(_arithmetic(_name))

load: Any = intrinsic(_load)  # (array, index): 16 numbers from there on
load_as: Any = intrinsic(_load_as)  # (array, index, other array): 16 of its numbers, integers too, in the other's dtype
store: Any = intrinsic(_store)  # (array, index, vector)
splat: Any = intrinsic(_splat)  # (number): 16 times that
sum_lanes: Any = intrinsic(_sum)  # (vector): the sum of its numbers
