"""Sums over the bits of words, as vector instructions: adding under a mask, which no loop is compiled to.

Functions for kernels, in LLVM's own vectors of 32 lanes, which it maps to what the processor has. One with AVX2 or
AVX-512 looks the sums up instead, a few bits at a time.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from intrinsic.projections.kernels import lookup

_LANES = 32
_TOGETHER = 4  # rows of words that one pass over the columns serves
_INT = ir.IntType(64)


def _splat(builder: Any, value: Any) -> Any:
    """A vector of equal lanes."""
    undefined = ir.Constant(ir.VectorType(value.type, _LANES), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES))


def looks_up(dtype: Any) -> bool:
    """Whether sums of this type, Numba's or numpy's, are looked up: `sum_row` then takes `lookup.tables(z)` for z."""
    return lookup.AVAILABLE and str(dtype) == "float32"


def _pointer(builder: Any, array: Any, index: Any, vector: Any) -> Any:
    return builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())


def _arrays(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Words, row, numbers and sums as their parts; the vector type; the number of words in a row."""
    words, numbers, sums = (context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 2, 3))
    vector = ir.VectorType(context.get_value_type(signature.args[2].dtype), _LANES)
    return words, arguments[1], numbers, sums, vector, cgutils.unpack_tuple(builder, words.shape)[1]


def _sum_rows(count: int) -> Any:
    @intrinsic
    def function(typingctx: Any, words: Any, row: Any, numbers: Any, sums: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, first, z, out, vector, width = _arrays(context, builder, signature, arguments)
            if looks_up(signature.args[2].dtype):
                for k in range(count):
                    start = builder.mul(builder.add(first, _INT(k)), width)
                    place = builder.gep(out.data, [_INT(_LANES * k)])
                    lookup.sum_row(builder, array.data, start, width, z.data, place)
                return context.get_dummy_value()
            totals = [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(count)]
            starts = [builder.mul(builder.add(first, _INT(k)), width) for k in range(count)]
            with cgutils.for_range(builder, cgutils.unpack_tuple(builder, z.shape)[0]) as loop:
                number = _splat(builder, builder.load(builder.gep(z.data, [loop.index])))
                for start, total in zip(starts, totals, strict=True):
                    word = builder.load(builder.gep(array.data, [builder.add(start, loop.index)]))
                    mask = builder.bitcast(word, ir.VectorType(ir.IntType(1), _LANES))
                    old = builder.load(total)
                    builder.store(builder.select(mask, builder.fadd(old, number), old), total)
            for k, total in enumerate(totals):
                place = _pointer(builder, out, _INT(_LANES * k), vector)
                builder.store(builder.load(total), place, align=4)
            return context.get_dummy_value()

        return types.void(words, types.int64, numbers, sums), generate

    return function


def _sum_columns(typingctx: Any, words: Any, row: Any, numbers: Any, sums: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, row, g, out, vector, width = _arrays(context, builder, signature, arguments)
        if looks_up(signature.args[2].dtype):
            lookup.sum_columns(builder, array.data, builder.mul(row, width), width, g.data, out.data)
            return context.get_dummy_value()
        bits = ir.VectorType(ir.IntType(32), _LANES)
        splats = [_splat(builder, builder.load(builder.gep(g.data, [_INT(r)]))) for r in range(32)]
        with cgutils.for_range(builder, builder.udiv(width, _INT(_LANES))) as loop:
            column = builder.mul(loop.index, _INT(_LANES))
            place = _pointer(builder, array, builder.add(builder.mul(row, width), column), bits)
            word = builder.load(place, align=4)
            totals = [ir.Constant(vector, None)] * 2  # two chains of additions, which do not wait for each other
            for r in range(32):
                bit = builder.and_(word, ir.Constant(bits, [1 << r] * _LANES))
                mask = builder.icmp_unsigned("==", bit, ir.Constant(bits, None))
                old = totals[r % 2]
                totals[r % 2] = builder.select(mask, builder.fadd(old, splats[r]), old)
            target = _pointer(builder, out, column, vector)
            found = builder.fadd(builder.load(target, align=4), builder.fadd(*totals))
            builder.store(found, target, align=4)
        return context.get_dummy_value()

    return types.void(words, types.int64, numbers, sums), generate


sum_row = _sum_rows(1)  # (words, row, z, sums): sums[r] = the sum of z[j] over the words [row, j] with bit r set
sum_rows = _sum_rows(_TOGETHER)  # the same for rows row ... row + 3: sums (128,)
# (words, row, numbers, sums): adds to sums[j] the sum of numbers[r] over the clear bits r of word [row, j]; 32 numbers.
# Clear ones, because LLVM makes of "if set" an "unless clear", which is no longer one masked addition.
sum_columns: Any = intrinsic(_sum_columns)
