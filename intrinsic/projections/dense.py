"""A matrix of independent random entries."""

from typing import Literal

import numpy as np
from torch import Tensor

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection


class Dense(Projection):
    """Independent entries: P_ij = +-1/sqrt(D) (rademacher) or N(0, 1/D) (gaussian).

    Columns have unit norm exactly for rademacher, in expectation for gaussian. Memory: 4 dim full_dim bytes. Time:
    O(dim full_dim). Source: Li et al. 2018, arXiv:1804.08838, section 2, who normalise Gaussian columns.

    Raises:
        UserError: for other `entries`.
    """

    matrix: Tensor  # (dim, full_dim) float32: sqrt(full_dim) P^T

    def __init__(
        self, dim: int, full_dim: int, *, seed: int, entries: Literal["rademacher", "gaussian"] = "rademacher"
    ) -> None:
        super().__init__(dim, full_dim, seed=seed)
        if entries not in ("rademacher", "gaussian"):
            raise UserError(f"need entries=rademacher or entries=gaussian, got entries={entries}")
        draw = rng.signs if entries == "rademacher" else rng.normals
        matrix = np.empty((self.dim, full_dim), dtype=np.float32)
        for j in range(self.dim):
            matrix[j] = draw(seed, full_dim, lane=j)
        self._store("matrix", matrix)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the float32 matrix."""
        return 4 * dim * full_dim

    def matvec(self, z: Tensor) -> Tensor:
        """P z by one matrix product: (..., dim) -> (..., full_dim)."""
        return (z * self.full_dim**-0.5) @ self.matrix.to(z.dtype)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g by one matrix product: (..., full_dim) -> (..., dim)."""
        return (g @ self.matrix.to(g.dtype).T) * self.full_dim**-0.5
