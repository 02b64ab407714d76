"""Some rows of P."""

from collections.abc import Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from intrinsic.projections.base import Projection
from intrinsic.projections.fixed_tensors import FixedTensors

_P = TypeVar("_P", bound=Projection)


class RowBlock(FixedTensors):
    """Rows low ... high - 1 of P: what the weights low ... high - 1 move by, and what they add to P^T g.

    They are rows of a projection's matrix: of all of P, or of a window, the fewest whole pieces of P (blocks, words)
    that the rows lie in. The entries of a window have the size that its own number of rows gives them, and not P's.
    Products have the precision of `Projection.multiply`. Both are without autograd.

    Args:
        part: the projection.
        before: its rows before the first one.
        rows: high - low.
        full_dim: of P.
    """

    def __init__(self, part: Projection, before: int, rows: int, full_dim: int) -> None:
        super().__init__()
        self.part, self.before, self.rows, self.dim = part, before, rows, part.dim
        self.scale = (part.full_dim / full_dim) ** 0.5

    @classmethod
    def draw(
        cls, dim: int, full_dim: int, bounds: Sequence[tuple[int, int]], *, seed: int, **options: Any
    ) -> list[Self]:
        """Rows low ... high - 1 for each of `bounds`, of the matrix that the projection class draws from `seed`."""
        return [cls(dim, full_dim, low, high, seed=seed, **options) for low, high in bounds]  # type: ignore[call-arg]

    @staticmethod
    def plan(dim: int, full_dim: int, rows: int, **options: Any) -> int:
        """The bytes that so many rows will occupy, about, as far as nobody else plans for them."""
        return 0

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return sum(tensor.nbytes for tensor in self.fixed_tensors().values())

    def multiply(self, z: Tensor) -> Tensor:
        """P z in these rows: (dim,) -> (rows,)."""
        return self.part.multiply(z)[self.before : self.before + self.rows] * self.scale

    def pull_back(self, g: Tensor) -> Tensor:
        """What these rows add to P^T g: (rows,) -> (dim,)."""
        after = self.part.full_dim - self.before - self.rows
        return self.part.multiply(pad(g, (self.before, after)), transposed=True) * self.scale


def window(kind: type[_P], dim: int, full_dim: int, seed: int, **options: Any) -> _P:
    """A projection of a class before anything is drawn, of as many rows as are asked for, also of fewer than dim."""
    part = kind.__new__(kind)
    FixedTensors.__init__(part)
    vars(part).update(dim=dim, full_dim=full_dim, seed=seed, nbytes=0, _fingerprints={}, **options)
    return part


def wide(x: Tensor) -> Tensor:
    """x in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
