"""A Kronecker sum of two small random matrices."""

from math import isqrt

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from intrinsic import rng
from intrinsic.projections.base import Projection

_DRAWN = 1 << 16  # numbers at a time


class KroneckerSum(Projection):
    """Weight (i, j) of theta as a matrix (D1, D2) moves by ((R1 z)_i + (R2 z)_j) / sqrt(2 D); R1, R2 standard normal.

    P = (R1 (x) 1 + 1 (x) R2) / sqrt(2 D), cut to its first D rows: a weight shares what moves it with those of its row
    and of its column. There are D1 + D2 - 1 directions. D1 and D2 are as near to sqrt(D) as leaves dim of them: where
    dim is larger than 2 sqrt(D) - 1, D1 is larger than D2. (The source has sqrt(D) always, and strands coordinates
    there.) Columns have unit norm in expectation. Memory: 4 dim (D1 + D2) bytes. Time: O(dim sqrt(full_dim) + full_dim)
    up to that dim. Source: Lotfi et al. 2022, arXiv:2211.13609, section 4.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.KroneckerSum(3, 16, seed=0)
        >>> offset = P(torch.ones(3)).view(4, 4)
        >>> rows = offset - offset[:, :1]  # equal in each row, up to what is added to the row as a whole
        >>> torch.allclose(rows, rows[:1], atol=1e-6)
        True
    """

    left: Tensor  # (D1, dim) float32: R1
    right: Tensor  # (D2, dim) float32: R2

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__(dim, full_dim, seed=seed)
        for name, rows in zip(("left", "right"), _sides(self.dim, full_dim), strict=True):
            numbers, stream = np.empty(rows * self.dim, np.float32), rng.fan_out(seed, name)
            for low in range(0, len(numbers), _DRAWN):
                part = numbers[low : low + _DRAWN]
                part[:] = rng.normals(stream, len(part), start=low)
            self._store(name, numbers.reshape(rows, self.dim))

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of both factors."""
        return 4 * dim * sum(_sides(dim, full_dim))

    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""
        z = z * (2 * self.full_dim) ** -0.5
        rows, columns = z @ self.left.to(z.dtype).T, z @ self.right.to(z.dtype).T
        return (rows[..., :, None] + columns[..., None, :]).flatten(-2)[..., : self.full_dim]

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g, of the sums of rows and columns: (..., full_dim) -> (..., dim)."""
        shape = len(self.left), len(self.right)
        G = pad(g, (0, shape[0] * shape[1] - self.full_dim)).unflatten(-1, shape)
        total = G.sum(-1) @ self.left.to(g.dtype) + G.sum(-2) @ self.right.to(g.dtype)
        return total * (2 * self.full_dim) ** -0.5


def _sides(dim: int, full_dim: int) -> tuple[int, int]:
    """The most nearly square D1 x D2 >= full_dim, all rows of which are there, with D1 + D2 - 1 >= dim."""
    columns = isqrt(full_dim - 1) + 1
    while -(-full_dim // columns) + columns - 1 < dim:
        columns -= 1
    return -(-full_dim // columns), columns
