"""Tiles of 16 by 16 numbers, transposed in registers, between lines of a matrix and rows of a block.

A block's rows lie as a cosine transform wants them: even ones from one place on, odd ones backwards from another.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intrinsic.projections.kernels.cosine_cost import WIDTH
from intrinsic.projections.kernels.vector import LANES, place


def _transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    vectors, step = list(vectors), 1
    lanes, index = range(LANES), ir.IntType(32)
    while step < LANES:
        low = [lane if not lane & step else LANES + lane - step for lane in lanes]
        high = [lane + step if not lane & step else LANES + lane for lane in lanes]
        for k in lanes:
            if not k & step:
                pair = vectors[k], vectors[k + step]
                vectors[k], vectors[k + step] = (
                    builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(index, LANES), mask))
                    for mask in (low, high)
                )
        step *= 2
    return vectors


class _Tile:
    """The addresses of a tile's lines, `step` apart, and of its rows."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self._context, self._builder, self.align = context, builder, dtype.bitwidth // 8
        self._vector = ir.VectorType(context.get_value_type(dtype), LANES)

    def _at(self, kind: Any, array: Any, first: Any, step: Any, k: int) -> Any:
        builder, number = self._builder, ir.IntType(64)
        index = builder.add(first, builder.mul(step, number(k)))
        return place(self._context, builder, kind, array, index, self._vector)

    def lines(self, kind: Any, array: Any, low: Any, step: Any) -> list[Any]:
        return [self._at(kind, array, low, step, k) for k in range(LANES)]

    def rows(self, kind: Any, array: Any, even: Any, odd: Any) -> list[Any]:
        width = ir.IntType(64)(WIDTH)
        back = self._builder.neg(width)
        return [self._at(kind, array, odd if k & 1 else even, back if k & 1 else width, k // 2) for k in range(LANES)]


def _read(typingctx: Any, lines: Any, low: Any, step: Any, x: Any, even: Any, odd: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, first, apart, target, place_even, place_odd = arguments
        tile = _Tile(context, builder, x.dtype)
        loaded = [builder.load(at, align=tile.align) for at in tile.lines(lines, source, first, apart)]
        rows = tile.rows(x, target, place_even, place_odd)
        for at, vector in zip(rows, _transposed(builder, loaded), strict=True):
            builder.store(vector, at, align=tile.align)
        return context.get_dummy_value()

    return types.void(lines, types.int64, types.int64, x, types.int64, types.int64), generate


def _write(typingctx: Any, x: Any, even: Any, odd: Any, start: Any, out: Any, low: Any, step: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, place_even, place_odd, origin, target, first, apart = arguments
        tile = _Tile(context, builder, x.dtype)
        loaded = [builder.load(at, align=tile.align) for at in tile.rows(x, source, place_even, place_odd)]
        lines = zip(*(tile.lines(*each, first, apart) for each in ((start, origin), (out, target))), strict=True)
        for (at, to), vector in zip(lines, _transposed(builder, loaded), strict=True):
            builder.store(builder.fadd(builder.load(at, align=tile.align), vector), to, align=tile.align)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(x, whole, whole, start, out, whole, whole), generate


read_tile: Any = intrinsic(_read)  # (lines, low, step, x, even, odd): x's rows are 16 numbers of 16 lines
write_tile: Any = intrinsic(_write)  # (x, even, odd, start, out, low, step): those of `start` + them, into `out`
