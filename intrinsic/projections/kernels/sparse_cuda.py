"""P and P^T in CSR form, several rows to a program."""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from intrinsic.projections.sparse import Sparse

_TILE = 512  # entries that a program reads at a time, in so many rows that most of them are there


def matvec(projection: "Sparse", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    _product(projection, "rows", z, origin, out)


def rmatvec(projection: "Sparse", g: Tensor, out: Tensor) -> None:
    """out = P^T g: a column is one program's sum, in a fixed order."""
    _product(projection, "columns", g, g[:0], out)


def _product(projection: "Sparse", name: str, x: Tensor, origin: Tensor, out: Tensor) -> None:
    start, index, value = (getattr(projection, f"{name}_{part}") for part in ("start", "index", "value"))
    width = min(_TILE, triton.next_power_of_2(triton.cdiv(len(value), len(out))))
    with torch.cuda.device_of(out):
        _rows[(triton.cdiv(len(out) * width, _TILE),)](
            x, start, index, value, origin, out, len(out),
            ORIGIN=origin.numel() > 0, ROWS=_TILE // width, WIDTH=width,
        )  # fmt: skip


@triton.jit
def _rows(
    x: tl.tensor, start: tl.tensor, index: tl.tensor, value: tl.tensor, origin: tl.tensor, out: tl.tensor,
    rows: tl.tensor, ORIGIN: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    low = tl.load(start + row, mask=inside, other=0)
    high = tl.load(start + row + 1, mask=inside, other=0)
    total = tl.zeros([ROWS, WIDTH], x.dtype.element_ty)
    for k in range(0, tl.max(high - low), WIDTH):
        entry = low[:, None] + k + tl.arange(0, WIDTH)[None, :]
        mask = entry < high[:, None]
        term = tl.load(x + tl.load(index + entry, mask=mask, other=0), mask=mask, other=0)
        total += term * tl.load(value + entry, mask=mask, other=0).to(term.dtype)
    offset = tl.sum(total, 1)
    if ORIGIN:
        offset += tl.load(origin + row, mask=inside, other=0)
    tl.store(out + row, offset, mask=inside)
