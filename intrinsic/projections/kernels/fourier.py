"""The Fourier transform of 16 complex columns together, in the cache: y_u = sum_t exp(-2 pi i t u / count) x_t.

A row is the 16 real parts, then the 16 imaginary ones. In passes (Cooley-Tukey), each of which writes its rows where
the next one wants them (Stockham).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intrinsic.projections.kernels.compile import inner
from intrinsic.projections.kernels.cosine_cost import UNROLLED, WIDTH
from intrinsic.projections.kernels.vector import LANES, load, place, splat, spread, store

_Complex = tuple[Any, Any]
_NOTHING = 1e-9  # below it a factor is zero but for rounding


def _sum(builder: Any, factors: Sequence[float], vectors: Sequence[Any]) -> Any:
    """Of factors times vectors; None if there are none."""
    total = None
    for factor, vector in zip(factors, vectors, strict=True):
        if abs(factor) < _NOTHING:
            continue
        size = abs(factor)
        if abs(size - 1) > _NOTHING:
            vector = builder.fmul(vector, ir.Constant(vector.type, [size] * LANES))
        if total is None:
            total = vector if factor > 0 else builder.fneg(vector)
        else:
            total = builder.fadd(total, vector) if factor > 0 else builder.fsub(total, vector)
    return total


def _transform(builder: Any, rows: Sequence[_Complex]) -> list[_Complex]:
    """The transform of a few rows, from sums and differences of those that lie opposite."""
    radix = len(rows)
    opposite = range(1, (radix + 1) // 2)
    middle = [] if radix % 2 else [rows[radix // 2]]
    sums, odd = (
        [[combine(rows[t][part], rows[-t][part]) for t in opposite] for part in (0, 1)]
        for combine in (builder.fadd, builder.fsub)
    )
    even = [[rows[0][part], *sums[part], *(row[part] for row in middle)] for part in (0, 1)]
    out: list[Any] = [None] * radix
    for u in range(radix // 2 + 1):
        angles = [2 * math.pi * t * u / radix for t in opposite]
        cosines = [1, *map(math.cos, angles), *((-1) ** u for _ in middle)]
        real, imaginary = (_sum(builder, cosines, vectors) for vectors in even)
        sines = [_sum(builder, [*map(math.sin, angles)], vectors) for vectors in odd]
        if sines[0] is None:
            out[u] = real, imaginary
        else:
            out[u] = builder.fadd(real, sines[1]), builder.fsub(imaginary, sines[0])
            out[-u] = builder.fsub(real, sines[1]), builder.fadd(imaginary, sines[0])
    return out


def _turned(builder: Any, row: _Complex, cosine: Any, sine: Any) -> _Complex:
    """Row times cosine - i sine."""
    real, imaginary = row
    return (
        builder.fadd(builder.fmul(real, cosine), builder.fmul(imaginary, sine)),
        builder.fsub(builder.fmul(imaginary, cosine), builder.fmul(real, sine)),
    )


def _butterfly(radix: int) -> Any:
    def build(typingctx: Any, x: Any, low: Any, step: Any, turns: Any, turn: Any, y: Any, to: Any, apart: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, low, step, angles, angle, target, to, apart = arguments
            number, align = ir.IntType(64), x.dtype.bitwidth // 8
            kind = ir.VectorType(context.get_value_type(x.dtype), LANES)

            def where(array: Any, kind_of: Any, first: Any, distance: Any, row: int, part: int) -> Any:
                at = builder.add(first, builder.add(builder.mul(distance, number(row)), number(part * LANES)))
                return place(context, builder, kind_of, array, at, kind)

            def cosine_and_sine(u: int) -> list[Any]:
                data = context.make_array(turns)(context, builder, angles).data
                places = [builder.add(angle, number(2 * (u - 1) + part)) for part in (0, 1)]
                return [spread(builder, builder.load(builder.gep(data, [at]))) for at in places]

            rows: list[Any] = [
                tuple(builder.load(where(source, x, low, step, t, part), align=align) for part in (0, 1))
                for t in range(radix)
            ]
            for u, row in enumerate(_transform(builder, rows)):
                for part, vector in enumerate(_turned(builder, row, *cosine_and_sine(u)) if u else row):
                    builder.store(vector, where(target, y, to, apart, u, part), align=align)
            return context.get_dummy_value()

        return types.void(x, types.int64, types.int64, turns, types.int64, y, types.int64, types.int64), generate

    return intrinsic(build)


def _short(radix: int) -> Callable[..., None]:
    """A pass in registers: `rest` times `stride` transforms of `radix` rows, their results turned."""
    butterfly: Any = _butterfly(radix)

    @inner
    def run(x: Any, y: Any, rest: Any, stride: Any, turns: Any, first: Any) -> None:
        for p in range(rest):
            for q in range(stride):
                low, to = WIDTH * (q + stride * p), WIDTH * (q + stride * radix * p)
                butterfly(x, low, WIDTH * stride * rest, turns, first + 2 * (radix - 1) * p, y, to, WIDTH * stride)

    return run


_two, _three, _four, _five, _six, _seven, _eight = map(_short, UNROLLED)


@inner
def _long(radix: Any, x: Any, y: Any, rest: Any, stride: Any, turns: Any, first: Any, waves: Any) -> None:
    """A pass of any length, term by term."""
    for p in range(rest):
        for q in range(stride):
            low = WIDTH * (q + stride * p)
            for u in range(radix):
                real, imaginary, k = load(x, low), load(x, low + LANES), 0
                for t in range(1, radix):
                    k += u
                    if k >= radix:
                        k -= radix
                    at = low + WIDTH * stride * rest * t
                    a, b = load(x, at), load(x, at + LANES)
                    cosine, sine = splat(turns[waves + 2 * k]), splat(turns[waves + 2 * k + 1])
                    real, imaginary = real + cosine * a + sine * b, imaginary + cosine * b - sine * a
                if u:
                    at = first + 2 * ((radix - 1) * p + u - 1)
                    cosine, sine = splat(turns[at]), splat(turns[at + 1])
                    real, imaginary = real * cosine + imaginary * sine, imaginary * cosine - real * sine
                to = WIDTH * (q + stride * (radix * p + u))
                store(y, to, real)
                store(y, to + LANES, imaginary)


@inner
def fourier(x: Any, y: Any, count: Any, radices: Any, turns: Any, first: Any) -> Any:
    """Transform `count` rows of x, with y as scratch; returns whether the result is in y instead of x.

    By passes of these radices, whose product is `count`; their turns lie from `first` on: see `cosine_plan`.
    """
    stride, rest, swapped = 1, count, False
    for radix in radices:
        rest //= radix
        if radix == 2:
            _two(x, y, rest, stride, turns, first)
        elif radix == 3:
            _three(x, y, rest, stride, turns, first)
        elif radix == 4:
            _four(x, y, rest, stride, turns, first)
        elif radix == 5:
            _five(x, y, rest, stride, turns, first)
        elif radix == 6:
            _six(x, y, rest, stride, turns, first)
        elif radix == 7:
            _seven(x, y, rest, stride, turns, first)
        elif radix == 8:
            _eight(x, y, rest, stride, turns, first)
        else:
            _long(radix, x, y, rest, stride, turns, first, first + 2 * (radix - 1) * rest)
            first += 2 * radix
        first += 2 * (radix - 1) * rest
        stride *= radix
        x, y, swapped = y, x, not swapped
    return swapped
