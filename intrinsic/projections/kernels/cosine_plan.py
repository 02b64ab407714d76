"""The tables by which kernels multiply by coefficients of cosine transforms."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod

import numpy as np

from intrinsic.projections.kernels.compile import CHUNKS
from intrinsic.projections.kernels.cosine_cost import UNROLLED, WIDTH, cost, radices
from intrinsic.projections.kernels.pieces import STRETCH

# what `matrices` says of each: where it begins; its axes, and whether the one that is transformed is along its rows;
# where its coefficients, their groups of one wave each and its radices begin and end; where its turns, its twist and
# its circle begin in `tables`
START, LENGTH, ACROSS, ALONG, FIRST, LAST, GROUP, GROUPS, RADIX, RADICES, TURNS, TWIST, CIRCLE = range(13)
_COPY = 1e-10  # seconds for a number of a matrix without coefficients
_LINE = 64  # bytes of a line of the cache


class CosinePlan:
    """What of the products is the projection's alone.

    A matrix is transformed along one axis, of `length` numbers, WIDTH lines at a time: a block. Along the other one,
    `across`, its few coefficients are multiplied by their waves, of which only the first block's are kept: those of
    another one are these turned, cos(a + b) = cos a cos b - sin a sin b. Matrices without coefficients are cut into
    stretches.

    Args:
        index: places of the coefficients, rising.
        shapes: of the matrices.
    """

    def __init__(self, index: np.ndarray, shapes: Sequence[tuple[int, int]]) -> None:
        self._radices, self._tables, self._where = list[int](), [np.zeros(0)], dict[tuple[str, int], int]()
        matrices, coefficients, blocks = [], [], []
        starts = [0, *accumulate(map(prod, shapes))]
        bounds = pairwise(np.searchsorted(index, starts).tolist())
        for (rows, columns), (start, stop), (first, last) in zip(shapes, pairwise(starts), bounds, strict=True):
            if first == last:
                matrices.append([start, 1, stop - start, 0, first, last, *[0] * 7])
                blocks.append((-(-(stop - start) // STRETCH), STRETCH * _COPY, 0.0))
                continue
            seconds, along = cost(rows, columns, last - first)
            length, across = (columns, rows) if along else (rows, columns)
            matrices.append([start, length, across, along, first, last, 0, 0, *self._places(length, across)])
            count = -(-across // WIDTH)
            blocks.append((count, seconds / count, seconds / count))
            row, at = np.divmod(index[first:last] - start, columns)[:: -1 if along else 1]
            order = np.lexsort((row, at))
            fixed = np.full((2, last - first), [[len(matrices)], [across]])
            coefficients.append(np.stack([first + order, row[order], *fixed, at[order]]))
        place, row, owner, across, at = np.concatenate(coefficients, 1)
        firsts = np.flatnonzero(np.diff(owner, prepend=-1) | np.diff(at, prepend=-1))
        waves, which = np.unique(np.stack([across, at])[:, firsts], axis=1, return_inverse=True)
        table = np.array(matrices, np.int64)
        table[:, GROUP], table[:, GROUPS] = (np.searchsorted(firsts, table[:, column]) for column in (FIRST, LAST))
        counts = np.array([count for count, *_ in blocks])
        forward, adjoint = (np.repeat([each[k] for each in blocks], counts) for k in (1, 2))
        self._borders = _borders(forward), _borders(adjoint)
        self._bases = _bases(self._borders[1], table[np.repeat(np.arange(len(table)), counts)])
        self._integers = (
            table,
            np.array([0, *counts.cumsum()]),
            np.array(self._radices, np.int64),
            np.append(firsts, len(place)),
            which.reshape(-1),
            at[firsts] * (WIDTH // 2) % across[firsts],  # how far a wave turns from block to block: `across` is once
            place,
            row,
        )
        angles = np.outer(np.pi / 2 * waves[1] / waves[0], 2 * np.arange(WIDTH) + 1)
        scale = np.sqrt((2 - (waves[1] == 0)) / waves[0])[:, None]
        self._waves = np.concatenate([np.cos(angles) * scale, np.sin(angles) * scale], 1).reshape(-1)
        self._kept: dict[np.dtype, tuple[np.ndarray, np.ndarray]] = {}

    def forward(self, dtype: np.dtype) -> tuple[np.ndarray, ...]:
        """For P z in `dtype`: where chunks of blocks begin, and the tables."""
        return self._borders[0], *self._integers, *self._floats(dtype)

    def adjoint(self, dtype: np.dtype) -> tuple[np.ndarray, ...]:
        """For P^T g: the same, and of each chunk the first coefficient, and where its sums begin among all."""
        return self._borders[1], self._bases, *self._integers, *self._floats(dtype)

    def _floats(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        if dtype not in self._kept:
            self._kept[dtype] = np.concatenate(self._tables).astype(dtype), _aligned(self._waves.astype(dtype))
        return self._kept[dtype]

    def _places(self, length: int, across: int) -> tuple[int, ...]:
        """RADIX ... CIRCLE of a matrix; of each length there is one table."""
        passes = radices(length)
        if ("turns", length) not in self._where:
            self._where["radices", length] = len(self._radices)
            self._radices += passes
            self._keep("turns", length, _turns(passes))
            twist = _pairs(np.arange(length // 2 + 1) * (np.pi / 2 / length))
            self._keep("twist", length, twist / np.sqrt(2 * length))
        if ("circle", across) not in self._where:
            self._keep("circle", across, _pairs(np.arange(across) * (2 * np.pi / across)))
        first = self._where["radices", length]
        tables = (("turns", length), ("twist", length), ("circle", across))
        return first, first + len(passes), *(self._where[name] for name in tables)

    def _keep(self, name: str, length: int, numbers: np.ndarray) -> None:
        self._where[name, length] = sum(map(len, self._tables))
        self._tables.append(numbers)


def _turns(passes: list[int]) -> np.ndarray:
    """Of each pass exp(2 pi i p u / n), p < n / radix, 0 < u < radix, n being what is left; then a long one's waves."""
    tables, rest = [np.zeros(0)], prod(passes)
    for radix in passes:
        rest //= radix
        tables.append(_pairs(np.outer(np.arange(rest), np.arange(1, radix)) * (2 * np.pi / (rest * radix))))
        if radix not in UNROLLED:
            tables.append(_pairs(np.arange(radix) * (2 * np.pi / radix)))
    return np.concatenate(tables)


def _pairs(angles: np.ndarray) -> np.ndarray:
    """Cosine, sine, cosine, sine, ..."""
    return np.stack([np.cos(angles), np.sin(angles)], -1).reshape(-1)


def _borders(seconds: np.ndarray) -> np.ndarray:
    """The block that begins each chunk, so that all chunks take about as long, and the number of blocks."""
    middles, chunks = seconds.cumsum() - seconds / 2, min(CHUNKS, len(seconds))
    return np.array([0, *np.searchsorted(middles, np.arange(1, chunks) * (seconds.sum() / chunks)), len(seconds)])


def _bases(borders: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """The first coefficient of each chunk, and where its sums begin; then where all end. `matrices`: of each block."""
    first = matrices[np.minimum(borders[:-1], len(matrices) - 1), FIRST]
    last = np.where(np.diff(borders), matrices[borders[1:] - 1, LAST], first)
    return np.stack([np.append(first, 0), np.append(0, (last - first).cumsum())], 1)


def _aligned(numbers: np.ndarray) -> np.ndarray:
    """A copy that begins with a line of the cache."""
    room = np.empty(len(numbers) + _LINE // numbers.itemsize, numbers.dtype)
    copy = room[-room.ctypes.data % _LINE // numbers.itemsize :][: len(numbers)]
    copy[:] = numbers
    return copy
