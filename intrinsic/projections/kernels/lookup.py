"""Sums over the bits of words, four bits at a time: a register of AVX-512 holds the 16 sums that four numbers can have.

For float32 on processors that have it, in place of `masked`: four bits cost a shift, a lookup and an addition for 16
lanes, where adding under a mask costs an addition and a move of the mask for each bit.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features

LANES = 16
_INT = ir.IntType(64)
_WORDS = ir.VectorType(ir.IntType(32), LANES)
_SUMS = ir.VectorType(ir.FloatType(), LANES)
_BIT = np.arange(16)[:, None] >> np.arange(4) & 1  # (16, 4): the bits of each place of a table

_config: Any = numba.config
_FORCED = _config.CPU_NAME or _config.CPU_FEATURES  # kernels are compiled for another processor than this one
# as Numba sees it: with NUMBA_ENABLE_AVX=0 LLVM would end the process at an instruction that it may not use
AVAILABLE = not _FORCED and "+avx512f" in get_host_cpu_features().split(",")


def tables(z: np.ndarray) -> np.ndarray:
    """The sums that each four numbers of z can have, by the bits that choose them: (16 * the number of fours,).

    z is filled up with zeros to a multiple of 32.
    """
    fours = np.zeros((-(-len(z) // 32) * 8, 4), z.dtype)
    fours.reshape(-1)[: len(z)] = z
    return (fours @ _BIT.T.astype(z.dtype)).reshape(-1)


def _load(builder: Any, pointer: Any, index: Any, vector: Any) -> Any:
    place = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
    return builder.load(place, align=4)


def _store(builder: Any, value: Any, pointer: Any, index: int | Any) -> None:
    place = builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer())
    builder.store(value, place, align=4)


def _look_up(builder: Any, table: Any, word: Any, nibble: int) -> Any:
    """Lane by lane the place of `table` that four bits of `word` name."""
    name = "llvm.x86.avx512.permvar.sf.512"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_SUMS, [_SUMS, _WORDS]), name)
    return builder.call(function, [table, builder.lshr(word, ir.Constant(_WORDS, [4 * nibble] * LANES))])


def _tree(builder: Any, terms: list[Any]) -> Any:
    """Their sum, by pairs."""
    while len(terms) > 1:
        terms = [builder.fadd(a, b) for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


def _transpose(builder: Any, word: Any) -> Any:
    """Swap the number of the lane, 4 bits, with the lower 4 of the 5 bits that number the bits of a word."""
    rotate = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_WORDS, [_WORDS] * 3), f"llvm.fshl.v{LANES}i32"
    )
    for step, kept in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF)):
        odd = [bool(lane & step) for lane in range(LANES)]
        partner = ir.Constant(_WORDS, [lane ^ step for lane in range(LANES)])
        other = builder.shuffle_vector(word, word, partner)
        other = builder.call(rotate, [other, other, ir.Constant(_WORDS, [32 - step if o else step for o in odd])])
        mask = [kept ^ 0xFFFFFFFF if o else kept for o in odd]
        own = builder.and_(word, ir.Constant(_WORDS, mask))
        word = builder.or_(own, builder.and_(other, ir.Constant(_WORDS, [m ^ 0xFFFFFFFF for m in mask])))
    return word


def sum_row(builder: Any, words: Any, start: Any, width: Any, numbers: Any, sums: Any) -> None:
    """sums[r] = the sum of z[j] over the words j of the row at `start` with bit r set; `numbers` are `tables(z)`."""
    totals = [cgutils.alloca_once_value(builder, ir.Constant(_SUMS, None)) for _ in range(2)]
    with cgutils.for_range(builder, builder.udiv(width, _INT(LANES))) as loop:
        column = builder.mul(loop.index, _INT(LANES))
        # lane i, bit 16 h + 4 q + b: weight 16 h + i, column 4 q + b
        word = _transpose(builder, _load(builder, words, builder.add(start, column), _WORDS))
        first = builder.mul(column, _INT(4))
        fours = [_load(builder, numbers, builder.add(first, _INT(16 * q)), _SUMS) for q in range(4)]
        for half, total in enumerate(totals):
            found = [_look_up(builder, fours[q], word, 4 * half + q) for q in range(4)]
            builder.store(builder.fadd(builder.load(total), _tree(builder, found)), total)
    for half, total in enumerate(totals):
        _store(builder, builder.load(total), sums, _INT(LANES * half))


def sum_columns(builder: Any, words: Any, start: Any, width: Any, numbers: Any, sums: Any) -> None:
    """Add to sums[j] the sum of numbers[r], 32 of them, over the clear bits r of word j of the row at `start`."""
    fours = []
    for four in range(8):
        table = ir.Constant(_SUMS, None)
        for bit in range(4):
            number = builder.load(builder.gep(numbers, [_INT(4 * four + bit)]))
            splat = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            splat = builder.shuffle_vector(splat, splat, ir.Constant(_WORDS, [0] * LANES))
            clear = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [int(not b) for b in _BIT[:, bit]])
            table = builder.select(clear, builder.fadd(table, splat), table)
        fours.append(table)
    with cgutils.for_range(builder, builder.udiv(width, _INT(LANES))) as loop:
        column = builder.mul(loop.index, _INT(LANES))
        word = _load(builder, words, builder.add(start, column), _WORDS)
        found = _tree(builder, [_look_up(builder, table, word, four) for four, table in enumerate(fours)])
        _store(builder, builder.fadd(_load(builder, sums, column, _SUMS), found), sums, column)
