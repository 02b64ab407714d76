"""Entries in a narrow form: an index and a sign in one word, the columns' norms apart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numba import prange
from torch import Tensor

from intrinsic.projections.kernels.compile import CHUNKS, kernel, launch

if TYPE_CHECKING:
    from intrinsic.projections.sparse import Sparse

_HEIGHT = 1 << 12  # weights in a band, within which a row is 16 bits; one band is one piece of parallel work


@dataclass(frozen=True)
class _Narrow:
    """P by bands of rows, without a branch for each row; and by columns. The lowest bit of a code is the sign."""

    norms: np.ndarray  # (dim,) float32: the size of every entry of a column
    bands: np.ndarray  # (bands + 1,): where the entries of a band begin
    row: np.ndarray  # (entries,) uint16: within the band
    column: np.ndarray  # (entries,) uint16 or uint32: 2 column + sign
    start: np.ndarray  # (dim + 1,): where the entries of a column begin
    place: np.ndarray  # (entries,) uint32 or uint64: 2 row + sign


_NARROW: "WeakKeyDictionary[Sparse, _Narrow]" = WeakKeyDictionary()


def matvec(projection: "Sparse", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    P = _narrow(projection)
    launch(_matvec, z.numpy(), P.norms, P.bands, P.row, P.column, origin.numpy(), out.numpy())


def rmatvec(projection: "Sparse", g: Tensor, out: Tensor) -> None:
    """out = P^T g."""
    P = _narrow(projection)
    launch(_rmatvec, g.numpy(), P.norms, P.start, P.place, out.numpy())


def _narrow(projection: "Sparse") -> _Narrow:
    if projection not in _NARROW:
        start, index, value = (getattr(projection, f"rows_{part}").numpy() for part in ("start", "index", "value"))
        columns, places, entries = (getattr(projection, f"columns_{p}").numpy() for p in ("start", "index", "value"))
        row = np.repeat(np.arange(projection.full_dim), np.diff(start))
        # in a band first the first entry of each row, then the second of each: an addition does not wait for the last
        order = np.lexsort((np.arange(len(row)) - start[row], row // _HEIGHT))
        borders = np.minimum(np.arange(-(-projection.full_dim // _HEIGHT) + 1) * _HEIGHT, projection.full_dim)
        _NARROW[projection] = _Narrow(
            norms=np.abs(entries[columns[:-1]]),
            bands=start[borders].astype(np.uint64),
            row=(row[order] % _HEIGHT).astype(np.uint16),
            column=_code(index[order], value[order], projection.dim, np.uint16),
            start=columns.astype(np.uint64),
            place=_code(places, entries, projection.full_dim, np.uint32),
        )
    return _NARROW[projection]


def _code(index: np.ndarray, value: np.ndarray, count: int, narrow: type) -> np.ndarray:
    dtype = narrow if 2 * count <= np.iinfo(narrow).max + 1 else np.uint32 if count <= 1 << 31 else np.uint64
    return index.astype(dtype) * dtype(2) + (value > 0).astype(dtype)


@kernel
def _matvec(z: Any, norms: Any, bands: Any, row: Any, column: Any, origin: Any, out: Any) -> None:
    values = np.empty(2 * len(z), z.dtype)  # what an entry of a given code adds
    for j in range(len(z)):
        values[2 * j + 1] = z[j] * norms[j]
        values[2 * j] = -values[2 * j + 1]
    for band in prange(len(bands) - 1):
        part = out[band * _HEIGHT : min((band + 1) * _HEIGHT, len(out))]
        start = origin[band * _HEIGHT : min((band + 1) * _HEIGHT, len(origin))]
        if len(origin):
            for i in range(len(part)):
                part[i] = start[i]
        else:
            for i in range(len(part)):
                part[i] = 0
        rows, columns = row[bands[band] : bands[band + 1]], column[bands[band] : bands[band + 1]]
        for k in range(len(rows)):
            part[rows[k]] += values[columns[k]]


@kernel
def _rmatvec(g: Any, norms: Any, start: Any, place: Any, out: Any) -> None:
    for chunk in prange(min(CHUNKS, len(out))):
        chunks = min(CHUNKS, len(out))
        for j in range(chunk * len(out) // chunks, (chunk + 1) * len(out) // chunks):
            places, sum_ = place[start[j] : start[j + 1]], g.dtype.type(0)
            for k in range(len(places)):
                sum_ += g[places[k] >> 1] * (np.int32(places[k] & 1) * 2 - 1)
            out[j] = sum_ * norms[j]
