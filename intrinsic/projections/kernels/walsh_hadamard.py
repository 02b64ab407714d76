"""The Walsh-Hadamard transform of blocks that lie in the cache: one long one, or several short ones at once."""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intrinsic.projections.kernels import lookup
from intrinsic.projections.kernels.compile import inner
from intrinsic.projections.kernels.vector import LANES, convert, load, load_as, place, store

_HELD = 16 if lookup.WIDE else 4  # vectors that are transformed together: as many as registers hold
TOGETHER = _HELD * LANES  # numbers: of short blocks, so many are transformed at once


def _lanes(builder: Any, vector: Any, size: Any) -> Any:
    """Transform the numbers of a vector, or each `size` of them."""
    for step in (1, 2, 4, 8):
        partner = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [lane ^ step for lane in range(LANES)])
        signs = ir.Constant(vector.type, [-1.0 if lane & step else 1.0 for lane in range(LANES)])
        after = builder.fadd(builder.shuffle_vector(vector, vector, partner), builder.fmul(vector, signs))
        vector = _below(builder, step, size, after, vector)
    return vector


def _below(builder: Any, step: int, size: Any, value: Any, other: Any) -> Any:
    """A value if step < size, or if there is no size, else the other one."""
    if size is None:
        return value
    return builder.select(builder.icmp_signed("<", size.type(step), size), value, other)


def _generate(typingctx: Any, numbers: Any, factors: Any, index: Any, length: Any, out: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, factor, first, size, target = arguments
        size = size if isinstance(length, types.Integer) else None
        kind = ir.VectorType(context.get_value_type(out.dtype), LANES)
        vectors = []
        for k in range(_HELD):
            at = builder.add(first, ir.IntType(64)(LANES * k))
            number = builder.load(place(context, builder, numbers, source, at, kind), align=4)
            if isinstance(factors, types.Array):
                narrow = ir.VectorType(context.get_value_type(factors.dtype), LANES)
                other = builder.load(place(context, builder, factors, factor, at, narrow), align=1)
                number = builder.fmul(number, convert(builder, other, kind))
            vectors.append(_lanes(builder, number, size))
        step = 1
        while step < _HELD:
            for k in range(_HELD):
                if not k & step:
                    a, b = vectors[k], vectors[k + step]
                    vectors[k] = _below(builder, step * LANES, size, builder.fadd(a, b), a)
                    vectors[k + step] = _below(builder, step * LANES, size, builder.fsub(a, b), b)
            step *= 2
        for k, vector in enumerate(vectors):
            at = builder.add(first, ir.IntType(64)(LANES * k))
            builder.store(vector, place(context, builder, out, target, at, kind), align=4)
        return context.get_dummy_value()

    return types.void(numbers, factors, types.int64, length, out), generate


# (numbers, factors or None, index, size, out): TOGETHER numbers from index on, or each `size` of them; None: all
_transform: Any = intrinsic(_generate)


@inner
def _short(x: Any, size: int) -> None:
    step = 1
    while step < size:
        for i in range(len(x)):
            if not i & step:
                a, b = x[i], x[i + step]
                x[i], x[i + step] = a + b, a - b
        step *= 2


@inner
def _begin(numbers: Any, factors: Any, x: Any, size: int) -> int:
    """Put numbers times factors into x, and transform each stretch of it: returns their length."""
    if size >= TOGETHER:
        for i in range(0, len(x), TOGETHER):
            _transform(numbers, factors, i, None, x)
        return TOGETHER
    whole = len(x) - len(x) % TOGETHER
    for i in range(0, whole, TOGETHER):
        _transform(numbers, factors, i, size, x)
    if factors is None:
        for i in range(whole, len(x)):
            x[i] = numbers[i]
    else:
        for i in range(whole, len(x)):
            x[i] = numbers[i] * factors[i]
    _short(x[whole:], size)
    return size


@inner
def _go_on(x: Any, step: int, size: int) -> int:
    """Transform stretches of four times the length, as long as they are shorter than a block; returns their length."""
    while step * 4 < size:
        for base in range(0, len(x), 4 * step):
            for i in range(base, base + step, LANES):
                a, b, c, d = load(x, i), load(x, i + step), load(x, i + 2 * step), load(x, i + 3 * step)
                s, t, u, v = a + b, a - b, c + d, c - d
                store(x, i, s + u)
                store(x, i + step, t + v)
                store(x, i + 2 * step, s - u)
                store(x, i + 3 * step, t - v)
        step *= 4
    return step


@numba.njit(forceinline=True)
def _put(value: Any, start: Any, factors: Any, out: Any, index: int) -> None:
    if factors is not None:
        value = value * load_as(factors, index, out)
    if start is not None:
        value = value + load(start, index)
    store(out, index, value)


@inner
def _end(x: Any, step: int, size: int, start: Any, factors: Any, out: Any) -> None:
    """Put start + the transform of x times factors into out; stretches of `step` numbers are transformed."""
    if step * 4 == size:
        for i in range(0, step, LANES):
            a, b, c, d = load(x, i), load(x, i + step), load(x, i + 2 * step), load(x, i + 3 * step)
            s, t, u, v = a + b, a - b, c + d, c - d
            _put(s + u, start, factors, out, i)
            _put(t + v, start, factors, out, i + step)
            _put(s - u, start, factors, out, i + 2 * step)
            _put(t - v, start, factors, out, i + 3 * step)
    elif step * 2 == size:
        for i in range(0, step, LANES):
            a, b = load(x, i), load(x, i + step)
            _put(a + b, start, factors, out, i)
            _put(a - b, start, factors, out, i + step)
    elif len(x) % LANES == 0:
        for i in range(0, len(x), LANES):
            _put(load(x, i), start, factors, out, i)
    else:
        for i in range(len(x)):
            number = x[i]
            if factors is not None:
                number *= factors[i]
            if start is not None:
                number += start[i]
            out[i] = number


@inner
def hadamard(numbers: Any, before: Any, x: Any, size: int, start: Any, after: Any, out: Any) -> None:
    """out = start + H (numbers before) after, with x, which may be out, as scratch.

    H transforms each block of `size` numbers, a power of two: there is one, or they are shorter than `TOGETHER`.
    `before`, `start` and `after` may be None: 1, 0 and 1.
    """
    _end(x, _go_on(x, _begin(numbers, before, x, size), size), size, start, after, out)
