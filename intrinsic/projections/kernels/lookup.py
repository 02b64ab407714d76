"""Sums over the bits of words, a few bits at a time: a register holds the sums that a few numbers can have.

For float32 on processors that have it, in place of `masked`: 16 sums of four numbers in a register of AVX-512, 8 of
three in one of AVX2. For as many lanes four bits, or three, cost a shift, a lookup and an addition, where adding under
a mask costs an addition and a move of the mask for each bit.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features

_config: Any = numba.config
_FORCED = _config.CPU_NAME or _config.CPU_FEATURES  # kernels are compiled for another processor than this one
# as Numba sees it: with NUMBA_ENABLE_AVX=0 LLVM would end the process at an instruction that it may not use
_FEATURES = () if _FORCED else get_host_cpu_features().split(",")
WIDE = "+avx512f" in _FEATURES
AVAILABLE = WIDE or "+avx2" in _FEATURES
_GALOIS = WIDE and {"+gfni", "+avx512vbmi"} <= {*_FEATURES}  # transposes 8 x 8 bits, and shuffles bytes, at once

LANES, _BITS = (16, 4) if WIDE else (8, 3)  # sums in a register, and the bits that choose one
_NAME = "llvm.x86.avx512.permvar.sf.512" if WIDE else "llvm.x86.avx2.permps"
_FIELDS = -(-LANES // _BITS)  # tables for as many columns as there are lanes; the last one may have fewer bits
_INT = ir.IntType(64)
_WORDS = ir.VectorType(ir.IntType(32), LANES)
_SUMS = ir.VectorType(ir.FloatType(), LANES)
_BIT = np.arange(LANES)[:, None] >> np.arange(_BITS) & 1  # (LANES, _BITS): the bits of each place of a table


def tables(z: np.ndarray) -> np.ndarray:
    """The sums that each few numbers of z can have, by the bits that choose them: (tables * LANES,).

    z is filled up with zeros to a multiple of 32.
    """
    numbers = np.zeros((-(-len(z) // 32) * 32 // LANES, _FIELDS * _BITS), z.dtype)
    whole = np.zeros((len(numbers), LANES), z.dtype)
    whole.reshape(-1)[: len(z)] = z
    numbers[:, :LANES] = whole
    return (numbers.reshape(-1, _BITS) @ _BIT.T.astype(z.dtype)).reshape(-1)


def _load(builder: Any, pointer: Any, index: Any, vector: Any) -> Any:
    place = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
    return builder.load(place, align=4)


def _store(builder: Any, value: Any, pointer: Any, index: int | Any) -> None:
    place = builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer())
    builder.store(value, place, align=4)


def _look_up(builder: Any, table: Any, word: Any, bit: int) -> Any:
    """Lane by lane the place of `table` that the bits of `word` from `bit` on name."""
    return _call(builder, _NAME, table, builder.lshr(word, ir.Constant(_WORDS, [bit] * LANES)))


def _look_up_in_two(builder: Any, tables: list[Any], word: Any, bit: int) -> Any:
    """The same for one of 32 places, which lie in two registers of AVX-512."""
    index = builder.lshr(word, ir.Constant(_WORDS, [bit] * LANES))
    return _call(builder, "llvm.x86.avx512.vpermi2var.ps.512", tables[0], index, tables[1])


def _call(builder: Any, name: str, first: Any, *rest: Any) -> Any:
    kind = ir.FunctionType(first.type, [argument.type for argument in (first, *rest)])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [first, *rest])


def _tree(builder: Any, terms: list[Any]) -> Any:
    """Their sum, by pairs."""
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        terms = [*(builder.fadd(a, b) for a, b in pairs), *(terms[-1:] if len(terms) % 2 else ())]
    return terms[0]


def _transpose(builder: Any, word: Any) -> Any:
    """Swap the bits of the number of the lane with the lowest of the 5 bits that number the bits of a word."""
    if _GALOIS:
        return _transpose_bytes(builder, word)
    rotate = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_WORDS, [_WORDS] * 3), f"llvm.fshl.v{LANES}i32"
    )
    for step, kept in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF))[: LANES.bit_length() - 1]:
        odd = [bool(lane & step) for lane in range(LANES)]
        partner = ir.Constant(_WORDS, [lane ^ step for lane in range(LANES)])
        other = builder.shuffle_vector(word, word, partner)
        other = builder.call(rotate, [other, other, ir.Constant(_WORDS, [32 - step if o else step for o in odd])])
        mask = [kept ^ 0xFFFFFFFF if o else kept for o in odd]
        own = builder.and_(word, ir.Constant(_WORDS, mask))
        word = builder.or_(own, builder.and_(other, ir.Constant(_WORDS, [m ^ 0xFFFFFFFF for m in mask])))
    return word


def _transpose_bytes(builder: Any, word: Any) -> Any:
    """The same by blocks of 8 lanes and 8 bits: byte p of lanes 8 c ... 8 c + 7 is block (p, c)."""
    blocks = [(p, c) for p in range(4) for c in range(2)]
    last_first = [4 * (8 * c + 7 - k) + p for p, c in blocks for k in range(8)]  # as the instruction numbers rows
    block, row = {one: 8 * k for k, one in enumerate(blocks)}, range(8)
    # byte 2 h + c of lane 8 g + i: row i of block (2 h + g, c)
    back = [block[2 * h + g, c] + i for g in range(2) for i in row for h in range(2) for c in range(2)]
    kind, index = ir.VectorType(ir.IntType(8), 64), ir.VectorType(ir.IntType(32), 64)
    data = builder.bitcast(word, kind)
    data = builder.shuffle_vector(data, data, ir.Constant(index, last_first))
    identity = ir.Constant(kind, [1 << k for k in row] * 8)
    data = _call(builder, "llvm.x86.vgf2p8affineqb.512", identity, data, ir.Constant(ir.IntType(8), 0))
    return builder.bitcast(builder.shuffle_vector(data, data, ir.Constant(index, back)), _WORDS)


def sum_row(builder: Any, words: Any, start: Any, width: Any, numbers: Any, sums: Any) -> None:
    """sums[r] = the sum of z[j] over the words j of the row at `start` with bit r set; `numbers` are `tables(z)`."""
    totals = [cgutils.alloca_once_value(builder, ir.Constant(_SUMS, None)) for _ in range(32 // LANES)]
    with cgutils.for_range(builder, builder.udiv(width, _INT(LANES))) as loop:
        column = builder.mul(loop.index, _INT(LANES))
        # lane i, bit LANES k + b: weight LANES k + i, column b
        word = _transpose(builder, _load(builder, words, builder.add(start, column), _WORDS))
        first = builder.mul(column, _INT(_FIELDS))
        fields = [_load(builder, numbers, builder.add(first, _INT(LANES * q)), _SUMS) for q in range(_FIELDS)]
        for k, total in enumerate(totals):
            found = [_look_up(builder, field, word, LANES * k + _BITS * q) for q, field in enumerate(fields)]
            builder.store(builder.fadd(builder.load(total), _tree(builder, found)), total)
    for k, total in enumerate(totals):
        _store(builder, builder.load(total), sums, _INT(LANES * k))


def sum_columns(builder: Any, words: Any, start: Any, width: Any, numbers: Any, sums: Any) -> None:
    """Add to sums[j] the sum of numbers[r], 32 of them, over the clear bits r of word j of the row at `start`."""
    step, chosen = (5 if WIDE else _BITS), []
    for first in range(0, 32, step):
        count = min(step, 32 - first)
        splats = []
        for bit in range(count):
            number = builder.load(builder.gep(numbers, [_INT(first + bit)]))
            splat = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            splats.append(builder.shuffle_vector(splat, splat, ir.Constant(_WORDS, [0] * LANES)))
        table = ir.Constant(_SUMS, None)
        for bit, splat in enumerate(splats[:_BITS]):
            clear = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [int(not b) for b in _BIT[:, bit]])
            table = builder.select(clear, builder.fadd(table, splat), table)
        chosen.append([builder.fadd(table, splats[_BITS]), table] if count > _BITS else table)
    with cgutils.for_range(builder, builder.udiv(width, _INT(LANES))) as loop:
        column = builder.mul(loop.index, _INT(LANES))
        word = _load(builder, words, builder.add(start, column), _WORDS)
        found = [
            (_look_up_in_two if isinstance(table, list) else _look_up)(builder, table, word, step * k)
            for k, table in enumerate(chosen)
        ]
        _store(builder, builder.fadd(_load(builder, sums, column, _SUMS), _tree(builder, found)), sums, column)
