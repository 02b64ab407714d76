"""Several indices read as one word, and several numbers that they name added as one vector.

Compiled from loops, an index is a read of its own, and a number that is written may be the next to be looked up, so
that nothing is done for several at once. Instructions that gather are not asked for: where a processor has them, they
are no faster, and made slow by the remedies for its faults.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intrinsic.projections.kernels.compile import inner

_INT, _WORD = ir.IntType(32), ir.IntType(64)
_LANES = 8


def _data(context: Any, builder: Any, signature: Any, arguments: Any, index: int) -> Any:
    return context.make_array(signature.args[index])(context, builder, arguments[index]).data


def _indices(builder: Any, data: Any, first: Any, count: int) -> list[Any]:
    """`count` unsigned integers from `first` on, by reads of 64 bits."""
    bits = data.type.pointee.width
    found = []
    for k in range(0, count, 64 // bits):
        place = builder.bitcast(builder.gep(data, [builder.add(first, _WORD(k))]), _WORD.as_pointer())
        word = builder.load(place, align=bits // 8)
        found += [builder.and_(builder.lshr(word, _WORD(low)), _WORD((1 << bits) - 1)) for low in range(0, 64, bits)]
    return found


def _four(typingctx: Any, index: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = _indices(builder, _data(context, builder, signature, arguments, 0), arguments[1], 4)
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(types.uint64, 4)(index, types.int64), generate


def _add_eight(typingctx: Any, numbers: Any, index: Any, i: Any, start: Any, out: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, index, start, out = (_data(context, builder, signature, arguments, k) for k in (0, 1, 3, 4))
        kind, i = table.type.pointee, arguments[2]
        vector = ir.VectorType(kind, _LANES)
        terms = ir.Constant(vector, ir.Undefined)
        for lane, j in enumerate(_indices(builder, index, i, _LANES)):
            terms = builder.insert_element(terms, builder.load(builder.gep(table, [j])), ir.Constant(_INT, lane))
        old = builder.load(builder.bitcast(builder.gep(start, [i]), vector.as_pointer()), align=4)
        builder.store(builder.fadd(old, terms), builder.bitcast(builder.gep(out, [i]), vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(numbers, index, types.int64, start, out), generate


four: Any = intrinsic(_four)  # (index, i): index[i] ... index[i + 3], which are unsigned
_eight: Any = intrinsic(_add_eight)


@inner
def add_found(numbers: Any, index: Any, start: Any, out: Any) -> None:
    """out[i] = start[i] + numbers[index[i]]."""
    whole = len(out) // _LANES * _LANES
    for i in range(0, whole, _LANES):
        _eight(numbers, index, i, start, out)
    for i in range(whole, len(out)):
        out[i] = start[i] + numbers[index[i]]


@inner
def add_to_found(numbers: Any, other: Any, index: Any, terms: Any) -> None:
    """numbers[index[i]] += terms[i], or other[index[i]] for every second i: sums in which two neighbours may meet."""
    whole = len(terms) // 4 * 4
    for i in range(0, whole, 4):
        a, b, c, d = four(index, i)
        numbers[a] += terms[i]
        other[b] += terms[i + 1]
        numbers[c] += terms[i + 2]
        other[d] += terms[i + 3]
    for i in range(whole, len(terms)):
        numbers[index[i]] += terms[i]
