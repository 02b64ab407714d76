"""Entries in the order of the weights they touch, without a branch a weight."""

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, kernel, launch

if TYPE_CHECKING:
    from intrinsic.projections.sparse import Sparse

_ROWS: "WeakKeyDictionary[Sparse, np.ndarray]" = WeakKeyDictionary()  # the weight that each entry of P moves


def matvec(projection: "Sparse", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    start, index, value = _csr(projection, "rows")
    if projection not in _ROWS:
        _ROWS[projection] = np.repeat(np.arange(len(start) - 1, dtype=start.dtype), np.diff(start))
    launch(_matvec, z.numpy(), start, _ROWS[projection], index, value, origin.numpy(), out.numpy())


def rmatvec(projection: "Sparse", g: Tensor, out: Tensor) -> None:
    """out = P^T g."""
    launch(_rmatvec, g.numpy(), *_csr(projection, "columns"), out.numpy())


def _csr(projection: "Sparse", name: str) -> list[np.ndarray]:
    arrays = [projection.get_buffer(f"{name}_{part}").numpy() for part in ("start", "index", "value")]
    return [array.view(f"u{array.itemsize}") for array in arrays[:2]] + arrays[2:]


@kernel
def _matvec(z: Any, start: Any, row: Any, column: Any, value: Any, origin: Any, out: Any) -> None:
    for chunk in prange(CHUNKS):
        low, high = chunk * len(out) // CHUNKS, (chunk + 1) * len(out) // CHUNKS
        part = out[low:high]
        if len(origin):
            part[:] = origin[low:high]
        else:
            part[:] = 0
        for entry in range(start[low], start[high]):
            out[row[entry]] += value[entry] * z[column[entry]]


@kernel
def _rmatvec(g: Any, start: Any, row: Any, value: Any, out: Any) -> None:
    for chunk in prange(CHUNKS):
        for column in range(chunk * len(out) // CHUNKS, (chunk + 1) * len(out) // CHUNKS):
            rows, values = row[start[column] : start[column + 1]], value[start[column] : start[column + 1]]
            sum_ = g.dtype.type(0)
            for k in range(len(rows)):
                sum_ += values[k] * g[rows[k]]
            out[column] = sum_
