"""Coefficients of cosine transforms, block by block within the cache."""

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numba import prange

from intrinsic.projections.kernels.compile import kernel
from intrinsic.projections.kernels.cosine_blocks import copy, empty, gather, read, spread, write
from intrinsic.projections.kernels.cosine_columns import backward, forward
from intrinsic.projections.kernels.cosine_cost import WIDTH
from intrinsic.projections.kernels.cosine_plan import FIRST, LAST, LENGTH, RADICES, RADIX, TURNS, TWIST, CosinePlan
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec
from intrinsic.projections.kernels.pieces import STRETCH

if TYPE_CHECKING:
    from intrinsic.projections.dct import DCT

_PLANS: WeakKeyDictionary["DCT", CosinePlan] = WeakKeyDictionary()


def options(full_dim: int) -> dict[str, Any]:
    """For the proof: matrices transformed along either axis, by short and long passes, cut blocks, no coefficients."""
    shapes = [(44, 33), (1, 50), (0, 3), (35, 36), (1, 1), (43, 20), (3, 66)]
    return {"shapes": [*shapes, (1, full_dim - sum(rows * columns for rows, columns in shapes))]}


def _fixed(projection: "DCT") -> tuple[CosinePlan]:
    if projection not in _PLANS:
        _PLANS[projection] = CosinePlan(projection.index.numpy(), projection.shapes)
    return (_PLANS[projection],)


@kernel
def _matvec(
    z: Any, borders: Any, matrices: Any, blocks: Any, radices: Any, firsts: Any, which: Any, steps: Any, places: Any,
    rows: Any, tables: Any, waves: Any, origins: Any, outs: Any,
) -> None:  # fmt: skip
    longest = max(matrices[:, LENGTH])
    for chunk in prange(len(borders) - 1):
        x, y = empty(WIDTH * longest, z), empty(WIDTH * longest, z)
        buffer, other = np.empty(max(longest, STRETCH), z.dtype), np.empty(max(longest, STRETCH), z.dtype)
        number = np.searchsorted(blocks, borders[chunk], "right") - 1
        for block in range(borders[chunk], borders[chunk + 1]):
            while block >= blocks[number + 1]:
                number += 1
            matrix, part = matrices[number], block - blocks[number]
            if matrix[FIRST] == matrix[LAST]:
                copy(matrix, part * STRETCH, (part + 1) * STRETCH, origins, outs, buffer, other)
                continue
            spread(z, matrix, part, firsts, which, steps, places, rows, tables, waves, x)
            passes = radices[matrix[RADIX] : matrix[RADICES]]
            swapped = backward(x, y, matrix[LENGTH], passes, tables, matrix[TURNS], matrix[TWIST])
            write(y if swapped else x, matrix, part, origins, outs, buffer, other)


@kernel
def _rmatvec(
    pieces: Any, borders: Any, bases: Any, matrices: Any, blocks: Any, radices: Any, firsts: Any, which: Any,
    steps: Any, places: Any, rows: Any, tables: Any, waves: Any, out: Any,
) -> None:  # fmt: skip
    longest = max(matrices[:, LENGTH])
    sums = np.zeros(bases[len(borders) - 1, 1], out.dtype)  # of each chunk those of its matrices' coefficients
    for chunk in prange(len(borders) - 1):
        x, y = empty(WIDTH * longest, out), empty(WIDTH * longest, out)
        buffer = np.empty(max(longest, WIDTH), out.dtype)
        own = sums[bases[chunk, 1] : bases[chunk + 1, 1]]
        number = np.searchsorted(blocks, borders[chunk], "right") - 1
        for block in range(borders[chunk], borders[chunk + 1]):
            while block >= blocks[number + 1]:
                number += 1
            matrix, part = matrices[number], block - blocks[number]
            if matrix[FIRST] == matrix[LAST]:
                continue
            read(pieces, matrix, part, x, buffer)
            passes = radices[matrix[RADIX] : matrix[RADICES]]
            swapped = forward(x, y, matrix[LENGTH], passes, tables, matrix[TURNS], matrix[TWIST])
            gather(y if swapped else x, matrix, part, firsts, which, steps, rows, tables, waves, own, bases[chunk, 0])
    total = np.zeros(len(out), out.dtype)
    for chunk in range(len(borders) - 1):
        own = sums[bases[chunk, 1] : bases[chunk + 1, 1]]
        into = total[bases[chunk, 0] :]
        for k in range(len(own)):
            into[k] += own[k]
    for k in range(len(out)):
        out[places[k]] = total[k]


def _displace(z: np.ndarray, plan: CosinePlan, origins: np.ndarray, outs: np.ndarray) -> None:
    _matvec(z, *plan.forward(z.dtype), origins, outs)


def _choose(pieces: np.ndarray, plan: CosinePlan, out: np.ndarray) -> None:
    _rmatvec(pieces, *plan.adjoint(out.dtype), out)


matvec_pieces, rmatvec_pieces = Matvec(_displace, _fixed), Rmatvec(_choose, _fixed)
