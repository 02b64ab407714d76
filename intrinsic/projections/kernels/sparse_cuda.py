"""P and P^T in CSR form, several rows to a program."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from intrinsic.projections.kernels.pieces_cuda import Pieces, block, entries, pieces, put

if TYPE_CHECKING:
    from intrinsic.projections.sparse import Sparse

_TILE = 512  # entries that a program reads at a time, in so many rows that most of them are there


def matvec_pieces(projection: "Sparse", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """out = the origins + P z."""
    with torch.cuda.device_of(out):
        _product(projection, "rows", pieces([z], z), pieces(origins, z), z.dtype, out)


def rmatvec_pieces(projection: "Sparse", tensors: Sequence[Tensor], out: Tensor) -> None:
    """out = P^T g: a column is one program's sum, in a fixed order."""
    with torch.cuda.device_of(out):
        _product(projection, "columns", pieces(tensors, out), pieces([], out), out.dtype, out)


def _product(projection: "Sparse", name: str, x: Pieces, origin: Pieces, dtype: torch.dtype, out: Tensor) -> None:
    start, index, value = (getattr(projection, f"{name}_{part}") for part in ("start", "index", "value"))
    width = min(_TILE, triton.next_power_of_2(triton.cdiv(len(value), len(out))))
    _rows[(triton.cdiv(len(out) * width, _TILE),)](
        x.pointer, x.number, start, index, value, origin.pointer, origin.number, out, len(out),
        PIECES=x.kinds, ORIGIN=origin.kinds, DOUBLE=dtype == torch.float64, ROWS=_TILE // width, WIDTH=width,
    )  # fmt: skip


@triton.jit
def _rows(
    x: tl.tensor, count: tl.tensor, start: tl.tensor, index: tl.tensor, value: tl.tensor, origin: tl.tensor,
    origins: tl.tensor, out: tl.tensor, rows: tl.tensor, PIECES: tl.constexpr, ORIGIN: tl.constexpr,
    DOUBLE: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * ROWS
    row = first + tl.arange(0, ROWS)
    inside = row < rows
    low = tl.load(start + row, mask=inside, other=0)
    high = tl.load(start + row + 1, mask=inside, other=0)
    total = tl.zeros([ROWS, WIDTH], tl.float64 if DOUBLE else tl.float32)
    for k in range(0, tl.max(high - low), WIDTH):
        entry = low[:, None] + k + tl.arange(0, WIDTH)[None, :]
        mask = entry < high[:, None]
        term = entries(x, count, tl.load(index + entry, mask=mask, other=0), mask, total.dtype, PIECES)
        total += term * tl.load(value + entry, mask=mask, other=0).to(term.dtype)
    offset = tl.sum(total, 1)
    if ORIGIN != 0:
        offset += block(origin, origins, row, inside, first, tl.minimum(first + ROWS, rows), offset.dtype, ORIGIN)
    put(out, row, offset, inside)
