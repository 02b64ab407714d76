"""Entries in a narrow form: an index and a sign in one word, the columns' norms apart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numba import prange

from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, total
from intrinsic.projections.kernels.descent import Descent, sequence
from intrinsic.projections.kernels.gather import add_found, four
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.pieces import put, size, stretch, target

if TYPE_CHECKING:
    from intrinsic.projections.sparse import Sparse

_HEIGHT = 1 << 12  # weights in a band, within which a row is 16 bits; one band is one piece of parallel work


@dataclass(frozen=True)
class _Narrow:
    """P by bands of rows, without a branch for each row; the first entries of each row once more, level by level."""

    norms: np.ndarray  # (dim,) float32: the size of every entry of a column
    levels: np.ndarray  # (levels, full_dim), as column: the entries that half of all rows have, or 2 dim: none
    bands: np.ndarray  # (bands + 1,): where the entries of a band begin
    rest: np.ndarray  # (bands,): where those begin that are not in the levels
    row: np.ndarray  # (entries,) uint16: within the band
    column: np.ndarray  # (entries,) uint16 or wider: 2 column + (1 if the sign is +)


_NARROW: "WeakKeyDictionary[Sparse, _Narrow]" = WeakKeyDictionary()


def _fixed(projection: "Sparse") -> tuple[np.ndarray, ...]:
    P = _narrow(projection)
    return P.norms, P.levels, P.bands, P.rest, P.row, P.column


def _fixed_adjoint(projection: "Sparse") -> tuple[Any, ...]:
    """Every chunk of bands adds to sums of its own, which are few beside the entries."""
    P = _narrow(projection)
    chunks = max(1, min(CHUNKS, len(P.bands) - 1, len(P.row) // (32 * projection.dim)))
    return P.norms, P.bands, P.row, P.column, 1 << chunks.bit_length() - 1


def _narrow(projection: "Sparse") -> _Narrow:
    found = _NARROW.get(projection)
    if found is None:
        start, index, value = (getattr(projection, f"rows_{part}").numpy() for part in ("start", "index", "value"))
        columns, entries = (getattr(projection, f"columns_{part}").numpy() for part in ("start", "value"))
        counts, bands = np.diff(start), -(-projection.full_dim // _HEIGHT)
        row = np.repeat(np.arange(projection.full_dim), counts)
        level, band, code = np.arange(len(row)) - start[row], row // _HEIGHT, _code(index, value, projection.dim)
        # in a band first the first entry of each row, then the second of each: an addition does not wait for the last
        order = np.lexsort((level, band))
        first = start[np.minimum(np.arange(bands + 1) * _HEIGHT, projection.full_dim)].astype(np.uint64)
        levels = np.full((int(np.median(counts)), projection.full_dim), 2 * projection.dim, code.dtype)
        inside = level < len(levels)
        levels[level[inside], row[inside]] = code[inside]
        found = _NARROW[projection] = _Narrow(
            norms=np.abs(entries[columns[:-1]]),
            levels=levels,
            bands=first,
            rest=first[:-1] + np.bincount(band[inside], minlength=bands).astype(np.uint64),
            row=(row[order] % _HEIGHT).astype(np.uint16),
            column=code[order],
        )
    return found


def _code(index: np.ndarray, value: np.ndarray, dim: int) -> np.ndarray:
    dtype: type = np.uint16 if dim < 1 << 15 else np.uint32 if dim < 1 << 31 else np.uint64
    return index.astype(dtype) * dtype(2) + (value > 0).astype(dtype)


@inner
def _displace(values: Any, levels: Any, low: Any, high: Any, rows: Any, columns: Any, start: Any, part: Any) -> None:
    if not len(levels):
        for i in range(len(part)):
            part[i] = start[i]
    for level in range(len(levels)):
        add_found(values, levels[level][low:high], part if level else start, part)
    whole = len(rows) // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = four(rows, k)
        e, f, g, h = four(columns, k)
        part[a] += values[e]
        part[b] += values[f]
        part[c] += values[g]
        part[d] += values[h]
    for k in range(whole, len(rows)):
        part[rows[k]] += values[columns[k]]


@inner
def _sum(numbers: Any, rows: Any, columns: Any, sums: Any, other: Any) -> None:
    whole = len(rows) // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = four(rows, k)
        e, f, g, h = four(columns, k)
        sums[e] += numbers[a]
        other[f] += numbers[b]
        sums[g] += numbers[c]
        other[h] += numbers[d]
    for k in range(whole, len(rows)):
        sums[columns[k]] += numbers[rows[k]]


@inner
def _displace_bands(
    values: Any,
    levels: Any,
    bands: Any,
    rest: Any,
    row: Any,
    column: Any,
    origins: Any,
    outs: Any,
    first: Any,
    last: Any,
) -> None:
    buffer, other, count = np.empty(_HEIGHT, values.dtype), np.empty(_HEIGHT, values.dtype), size(outs)
    for band in range(first, last):
        low, high = band * _HEIGHT, min((band + 1) * _HEIGHT, count)
        start, part = stretch(origins, low, high, buffer), target(outs, low, high, other)
        rows, columns = row[rest[band] : bands[band + 1]], column[rest[band] : bands[band + 1]]
        _displace(values, levels, low, high, rows, columns, start, part)
        put(outs, low, high, other)


@inner
def _sum_bands(pieces: Any, bands: Any, row: Any, column: Any, first: Any, last: Any, sums: Any) -> None:
    sums[:] = 0
    buffer, half, count = np.empty(_HEIGHT, sums.dtype), len(sums) // 2, size(pieces)
    for band in range(first, last):
        numbers = stretch(pieces, band * _HEIGHT, min((band + 1) * _HEIGHT, count), buffer)
        rows, columns = row[bands[band] : bands[band + 1]], column[bands[band] : bands[band + 1]]
        _sum(numbers, rows, columns, sums[:half], sums[half:])


@kernel
def _matvec(
    z: Any, norms: Any, levels: Any, bands: Any, rest: Any, row: Any, column: Any, origins: Any, outs: Any
) -> None:
    values = np.empty(2 * len(z) + 1, z.dtype)  # what an entry of a given code adds
    for j in range(len(z)):
        values[2 * j + 1] = z[j] * norms[j]
        values[2 * j] = -values[2 * j + 1]
    values[2 * len(z)] = 0
    count = len(bands) - 1
    chunks = min(count, CHUNKS)
    for chunk in prange(chunks):
        first, last = chunk * count // chunks, (chunk + 1) * count // chunks
        _displace_bands(values, levels, bands, rest, row, column, origins, outs, first, last)


@kernel
def _rmatvec(pieces: Any, norms: Any, bands: Any, row: Any, column: Any, chunks: int, out: Any) -> None:
    totals, sums = np.empty((chunks, 4 * len(out)), out.dtype), np.empty(4 * len(out), out.dtype)
    count = len(bands) - 1
    for chunk in prange(chunks):
        first, last = chunk * count // chunks, (chunk + 1) * count // chunks
        _sum_bands(pieces, bands, row, column, first, last, totals[chunk])
    total(totals, out.dtype.type(1), sums)
    half = 2 * len(out)
    for j in range(len(out)):
        plus, minus = sums[2 * j + 1] + sums[half + 2 * j + 1], sums[2 * j] + sums[half + 2 * j]
        out[j] = (plus - minus) * norms[j]


@sequence
def _descend(
    pieces: Any, fixed_adjoint: Any, g: Any, z: Any, state: Any, numbers: Any, fixed: Any, origins: Any, outs: Any
) -> None:
    _rmatvec(pieces, *fixed_adjoint, g)
    adam(g, z, state, numbers)
    _matvec(z, *fixed, origins, outs)


matvec_pieces, rmatvec_pieces = Matvec(_matvec, _fixed), Rmatvec(_rmatvec, _fixed_adjoint)
descent = Descent(_descend, _fixed, _fixed_adjoint)
