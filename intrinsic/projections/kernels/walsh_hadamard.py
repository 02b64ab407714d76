"""The Walsh-Hadamard transform of vectors that lie in the cache."""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intrinsic.projections.kernels import lookup
from intrinsic.projections.kernels.compile import inner
from intrinsic.projections.kernels.vector import LANES, convert, load, load_as, place, store

_HELD = 16 if lookup.WIDE else 4  # vectors that are transformed together: as many as registers hold
_START = _HELD * LANES  # numbers


def _lanes(builder: Any, vector: Any) -> Any:
    """Transform the numbers of a vector."""
    for step in (1, 2, 4, 8):
        partner = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [lane ^ step for lane in range(LANES)])
        signs = ir.Constant(vector.type, [-1.0 if lane & step else 1.0 for lane in range(LANES)])
        vector = builder.fadd(builder.shuffle_vector(vector, vector, partner), builder.fmul(vector, signs))
    return vector


def _generate(typingctx: Any, numbers: Any, factors: Any, index: Any, out: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, factor, first, target = arguments
        kind = ir.VectorType(context.get_value_type(out.dtype), LANES)
        vectors = []
        for k in range(_HELD):
            at = builder.add(first, ir.IntType(64)(LANES * k))
            number = builder.load(place(context, builder, numbers, source, at, kind), align=4)
            if isinstance(factors, types.Array):
                narrow = ir.VectorType(context.get_value_type(factors.dtype), LANES)
                other = builder.load(place(context, builder, factors, factor, at, narrow), align=1)
                number = builder.fmul(number, convert(builder, other, kind))
            vectors.append(_lanes(builder, number))
        step = 1
        while step < _HELD:
            for k in range(_HELD):
                if not k & step:
                    a, b = vectors[k], vectors[k + step]
                    vectors[k], vectors[k + step] = builder.fadd(a, b), builder.fsub(a, b)
            step *= 2
        for k, vector in enumerate(vectors):
            at = builder.add(first, ir.IntType(64)(LANES * k))
            builder.store(vector, place(context, builder, out, target, at, kind), align=4)
        return context.get_dummy_value()

    return types.void(numbers, factors, types.int64, out), generate


_transform: Any = intrinsic(_generate)  # (numbers, factors or None, index, out): _START numbers from index on


@inner
def _short(x: Any) -> None:
    step = 1
    while step < len(x):
        for i in range(len(x)):
            if not i & step:
                a, b = x[i], x[i + step]
                x[i], x[i + step] = a + b, a - b
        step *= 2


@inner
def _begin(numbers: Any, factors: Any, x: Any) -> int:
    """Put numbers times factors into x, and transform each stretch of it: returns their length."""
    if len(x) < _START:
        if factors is None:
            for i in range(len(x)):
                x[i] = numbers[i]
        else:
            for i in range(len(x)):
                x[i] = numbers[i] * factors[i]
        _short(x)
        return len(x)
    for i in range(0, len(x), _START):
        _transform(numbers, factors, i, x)
    return _START


@inner
def _go_on(x: Any, step: int) -> int:
    """Transform stretches of four times the length, as long as they are shorter than x; returns their length."""
    n = len(x)
    while step * 4 < n:
        for base in range(0, n, 4 * step):
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
def _end(x: Any, step: int, start: Any, factors: Any, out: Any) -> None:
    """Put start + the transform of x times factors into out; stretches of `step` numbers are transformed."""
    if step * 4 == len(x):
        for i in range(0, step, LANES):
            a, b, c, d = load(x, i), load(x, i + step), load(x, i + 2 * step), load(x, i + 3 * step)
            s, t, u, v = a + b, a - b, c + d, c - d
            _put(s + u, start, factors, out, i)
            _put(t + v, start, factors, out, i + step)
            _put(s - u, start, factors, out, i + 2 * step)
            _put(t - v, start, factors, out, i + 3 * step)
    elif step * 2 == len(x):
        for i in range(0, step, LANES):
            a, b = load(x, i), load(x, i + step)
            _put(a + b, start, factors, out, i)
            _put(a - b, start, factors, out, i + step)
    elif len(x) >= LANES:
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
def hadamard(numbers: Any, before: Any, x: Any, start: Any, after: Any, out: Any) -> None:
    """out = start + H (numbers before) after, of any power of two numbers, with x, which may be out, as scratch.

    `before`, `start` and `after` may be None: 1, 0 and 1.
    """
    _end(x, _go_on(x, _begin(numbers, before, x)), start, after, out)
