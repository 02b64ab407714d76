"""Philox4x32-10 of eight counters at once, as vector instructions: without AVX-512, loops are not compiled to them.

A function for kernels, in LLVM's own vectors, which it maps to what the processor has. The words are those of
`intrinsic.rng.bits`.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 8
_INT = ir.IntType(64)
_VECTOR = ir.VectorType(_INT, LANES)
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85


def _equal(value: int) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _splat(builder: Any, value: Any) -> Any:
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _rounds(builder: Any, seed: Any, x: list[Any]) -> list[Any]:
    """Ten rounds on four vectors, whose lanes hold 32 bits each."""
    low, shift = _equal(0xFFFFFFFF), _equal(32)
    keys = [builder.and_(seed, _INT(0xFFFFFFFF)), builder.lshr(seed, _INT(32))]
    for _ in range(10):
        k0, k1 = (_splat(builder, key) for key in keys)
        p0, p1 = builder.mul(x[0], _equal(_M0)), builder.mul(x[2], _equal(_M1))
        x = [
            builder.xor(builder.xor(builder.lshr(p1, shift), x[1]), k0),
            builder.and_(p1, low),
            builder.xor(builder.xor(builder.lshr(p0, shift), x[3]), k1),
            builder.and_(p0, low),
        ]
        weyl = zip(keys, (_W0, _W1), strict=True)
        keys = [builder.and_(builder.add(key, _INT(w)), _INT(0xFFFFFFFF)) for key, w in weyl]
    return x


def _blocks(typingctx: Any, seed: Any, counters: Any, lanes: Any, out: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def place(argument: int, offset: int = 0) -> Any:
            array = context.make_array(signature.args[argument])(context, builder, arguments[argument])
            pointer = builder.gep(array.data, [_INT(offset)])
            return builder.bitcast(pointer, _VECTOR.as_pointer())

        low, shift = _equal(0xFFFFFFFF), _equal(32)
        x = []
        for argument in (1, 2):
            vector = builder.load(place(argument), align=8)
            x += [builder.and_(vector, low), builder.lshr(vector, shift)]
        a, b, c, d = _rounds(builder, arguments[0], x)
        pairs = [builder.or_(even, builder.shl(odd, shift)) for even, odd in ((a, b), (c, d))]
        for half in range(2):
            order = [pair * LANES + half * LANES // 2 + k for k in range(LANES // 2) for pair in range(2)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
            builder.store(builder.shuffle_vector(*pairs, mask), place(3, half * LANES), align=8)
        return context.get_dummy_value()

    return types.void(types.uint64, counters, lanes, out), generate


# (seed, counters, lanes, out): eight counters and lanes; out (16,): words 0 and 1 of the first counter in one number,
# words 2 and 3, then those of the second counter, ...; all uint64
blocks: Any = intrinsic(_blocks)
