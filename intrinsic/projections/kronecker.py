"""A Kronecker product of two small random matrices."""

from math import isqrt

from torch import Tensor
from torch.nn.functional import pad

from intrinsic import rng
from intrinsic.projections.base import Projection
from intrinsic.projections.device_draws import kronecker as device_draw
from intrinsic.projections.kernels.draws import draws


class Kronecker(Projection):
    """P = S (R1 (x) R2) / sqrt(D), cut to its first D rows and d columns; R1 (D1, d1), R2 (D2, d2) of random signs.

    D1 D2 >= D and d1 d2 >= d, all near square roots. No entry is zero, so every coordinate moves all weights (the
    source's code rounds down and strands some), and columns have unit norm exactly. S flips the sign of each row at
    random: without it, whatever adds up a run of neighbouring weights sees little but the column sums of R2, and the
    published toy task has no solution at d = 10. The source has no S, and draws R1 and R2 Gaussian. Memory: about
    full_dim bytes. Time: O(full_dim sqrt(dim)). Source: Lotfi et al. 2022, arXiv:2211.13609, section 4.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.Kronecker(4, 100, seed=0)
        >>> P(torch.eye(4)).abs().unique()  # no entry is zero: 1 / sqrt(100)
        tensor([0.1000])
    """

    left: Tensor  # (D1, d1) int8: R1
    right: Tensor  # (D2, d2) int8: R2
    sign: Tensor  # (full_dim,) int8: S

    unit_columns = True

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__(dim, full_dim, seed=seed)
        (rows1, rows2), (columns1, columns2) = factors(full_dim), factors(self.dim)
        if self._draw_there(device_draw.draw, (rows1, columns1), (rows2, columns2)):
            return
        for name, rows, columns in (("left", rows1, columns1), ("right", rows2, columns2)):
            self._store(name, rng.signs(rng.fan_out(seed, name), rows * columns).reshape(rows, columns))
        compiled, signs = draws("streams", full_dim), rng.fan_out(seed, "signs")
        self._store("sign", rng.signs(signs, full_dim) if compiled is None else compiled.signs(signs, full_dim))

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of both factors and the signs."""
        return full_dim + sum(rows * columns for rows, columns in zip(factors(full_dim), factors(dim), strict=True))

    def matvec(self, z: Tensor) -> Tensor:
        """P z = S (R1 Z R2^T), Z the coordinates as a matrix: (..., dim) -> (..., full_dim)."""
        left, right = self.left.to(z.dtype), self.right.to(z.dtype)
        shape = left.shape[1], right.shape[1]
        Z = pad(z * self.full_dim**-0.5, (0, shape[0] * shape[1] - self.dim)).unflatten(-1, shape)
        return (left @ Z @ right.T).flatten(-2)[..., : self.full_dim] * self.sign

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g = R1^T G R2, G = S g as a matrix: (..., full_dim) -> (..., dim)."""
        left, right = self.left.to(g.dtype), self.right.to(g.dtype)
        shape = left.shape[0], right.shape[0]
        G = pad(g * self.sign, (0, shape[0] * shape[1] - self.full_dim)).unflatten(-1, shape)
        return (left.T @ G @ right).flatten(-2)[..., : self.dim] * self.full_dim**-0.5

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows, by the rows of R1 that they come from: (rows,) -> (dim,)."""
        width, high = self.right.shape[0], low + len(g)
        first = low // width
        parts = {"left": self.left[first : -(-high // width)], "sign": self.sign[first * width : high]}
        return self._multiply_window(pad(g, (low - first * width, 0)), **parts)


def factors(count: int) -> tuple[int, int]:
    """The most nearly square a x b >= count."""
    a = isqrt(count - 1) + 1
    return a, -(-count // a)
