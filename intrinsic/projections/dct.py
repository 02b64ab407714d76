"""Coefficients of a cosine transform."""

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from math import isqrt, prod

import numpy as np
from torch import Tensor, cat

from intrinsic import rng
from intrinsic.projections.base import SCRATCH, Projection
from intrinsic.projections.choice import choice
from intrinsic.projections.cosine_transform import cosine_transform
from intrinsic.projections.kernels.cosine_cost import LIBRARY, cost


class DCT(Projection):
    """Coordinate j is a coefficient, chosen at random, of the 2-D cosine transforms of the weight matrices; P^T P = I.

    P z writes z to the chosen ones of full_dim coefficients, the others being 0, and transforms each matrix back: C_m^T
    S C_n with orthonormal DCT-II matrices C (see `cosine_transform`). Every choice of dim of them all is as likely as
    any other; granularity="block" gives each matrix its share, as in the source. Memory: 8 dim bytes, and up to 280 dim
    of tables for kernels. Time: O(full_dim log full_dim). Source: Gao et al. 2024, FourierFT, arXiv:2405.03003, which
    takes the real part of a complex Fourier transform, of the same coefficients in every layer, from a random start and
    with a scale of its own.

    Args:
        shapes: of the tensors of weights: the first axis of each is the rows of its matrix, the others together are
            the columns; a vector is one row. None: the weights are one matrix, as nearly square as divides full_dim.

    Raises:
        ValueError: if the shapes have other than full_dim numbers.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.DCT(4, 100, seed=0, shapes=[(10, 9), (10,)])
        >>> columns = P(torch.eye(4))
        >>> torch.allclose(columns @ columns.T, torch.eye(4), atol=1e-6)
        True
    """

    index: Tensor  # (dim,) int64, rising: places among the coefficients, matrix after matrix

    by_shape = True
    unit_columns = True

    def __init__(self, dim: int, full_dim: int, *, seed: int, shapes: Sequence[Sequence[int]] | None = None) -> None:
        super().__init__(dim, full_dim, seed=seed)
        shapes = [(_divisor(full_dim), full_dim // _divisor(full_dim))] if shapes is None else shapes
        if sum(map(prod, shapes)) != full_dim:
            raise ValueError(f"need shapes of {full_dim} numbers, got {[tuple(shape) for shape in shapes]!s:.200}")
        self.shapes = [(1, prod(shape)) if len(shape) < 2 else (shape[0], prod(shape[1:])) for shape in shapes]
        places = choice(rng.fan_out(seed, "choice"), self.dim, full_dim)
        self._store("index", places)
        starts = [0, *accumulate(map(prod, self.shapes))]
        counts = np.diff(np.searchsorted(places, starts)).tolist()
        self._empty = [count == 0 for count in counts]  # nothing chosen there
        # kernels multiply by each coefficient along one axis: where there are many, scipy's transforms are faster
        chosen = [(*shape, count) for shape, count in zip(self.shapes, counts, strict=True) if count]
        seconds = sum(cost(*each)[0] for each in chosen)
        self.kernels = seconds < LIBRARY * sum(rows * columns for rows, columns, _ in chosen)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the places."""
        return 8 * dim

    @classmethod
    def peak(cls, dim: int, full_dim: int) -> int:
        """Beside P: what is drawn to choose from."""
        return cls.plan(dim, full_dim) + SCRATCH + 60 * dim + full_dim

    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""
        coefficients = z.new_zeros(*z.shape[:-1], self.full_dim).index_copy(-1, self.index, z)
        return self._transformed(coefficients, inverse=True)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""
        return self._transformed(g, inverse=False).index_select(-1, self.index)

    def _transformed(self, x: Tensor, *, inverse: bool) -> Tensor:
        """x, matrix by matrix; of those without a chosen coefficient whatever is there."""
        pieces = x.split([rows * columns for rows, columns in self.shapes], -1)
        return cat([
            piece if empty else cosine_transform(piece.unflatten(-1, shape), inverse=inverse).flatten(-2)
            for piece, shape, empty in zip(pieces, self.shapes, self._empty, strict=True)
        ], -1)  # fmt: skip

    def _hash(self, bits: bool) -> str:
        """Of the shapes too."""
        return hashlib.sha256(f"{super()._hash(bits)} {self.shapes}".encode()).hexdigest()[:16]


def _divisor(count: int) -> int:
    """The largest divisor that is no larger than the square root."""
    return next(rows for rows in range(isqrt(count), 0, -1) if count % rows == 0)
