"""The sums of `lookup` as processors with AVX-512 and GFNI form them, on one that lacks the instructions.

Imported before any kernel: three instructions of LLVM are then written out, number by number.
"""

from unittest import mock

from llvmlite import ir
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features

INT = ir.IntType(32)
FEATURES = f"{get_host_cpu_features()},+avx512f,+avx512vbmi,+gfni"

with mock.patch("numba.core.codegen.get_host_cpu_features", return_value=FEATURES):
    from intrinsic.projections.kernels import lookup


def permute(builder, tables, index):
    """Each lane of index names a place of the tables, one after the other."""
    out = ir.Constant(tables[0].type, ir.Undefined)
    for lane in range(16):
        place = builder.and_(builder.extract_element(index, INT(lane)), INT(16 * len(tables) - 1))
        number = builder.extract_element(tables[0], builder.and_(place, INT(15)))
        if len(tables) == 2:
            other = builder.extract_element(tables[1], builder.and_(place, INT(15)))
            number = builder.select(builder.icmp_unsigned("<", place, INT(16)), number, other)
        out = builder.insert_element(out, number, INT(lane))
    return out


def multiply(builder, x, matrix):
    """Bit i of a byte: the parity of the byte of x and row 7 - i of the matrix, 8 bytes."""
    kind, out = x.type, ir.Constant(x.type, None)
    count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), "llvm.ctpop.v64i8")
    for i in range(8):
        places = [k // 8 * 8 + 7 - i for k in range(64)]
        row = builder.shuffle_vector(matrix, matrix, ir.Constant(ir.VectorType(INT, 64), places))
        parity = builder.and_(builder.call(count, [builder.and_(row, x)]), ir.Constant(kind, [1] * 64))
        out = builder.or_(out, builder.shl(parity, ir.Constant(kind, [i] * 64)))
    return out


def call(builder, name, *arguments):
    """In place of `lookup._call`."""
    match name.removeprefix("llvm.x86."):
        case "avx512.permvar.sf.512":
            return permute(builder, arguments[:1], arguments[1])
        case "avx512.vpermi2var.ps.512":
            return permute(builder, arguments[::2], arguments[1])
        case "vgf2p8affineqb.512":
            return multiply(builder, *arguments[:2])
    raise ValueError(f"no such instruction: {name}")


lookup._call = call
assert lookup.WIDE
assert lookup._GALOIS
