"""Rows of P by a projection that has them among its own."""

from typing import Any, TypeVar

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from intrinsic.projections.base import Projection
from intrinsic.projections.fixed_tensors import FixedTensors
from intrinsic.projections.row_blocks.row_block import RowBlock

_P = TypeVar("_P", bound=Projection)


class Window(RowBlock):
    """Rows of P as rows of a projection: of all of P, or of a window, the fewest blocks or words that they lie in.

    The entries of a window have the size that its own number of rows gives them, and not P's: they are scaled.

    Args:
        part: the projection.
        before: its rows before the first one.
        rows: how many rows.
        full_dim: of P.
    """

    def __init__(self, part: Projection, before: int, rows: int, full_dim: int) -> None:
        super().__init__(part.dim, rows)
        self.part, self.before = part, before
        self.scale = (part.full_dim / full_dim) ** 0.5

    def multiply(self, z: Tensor) -> Tensor:
        """P z in these rows: (dim,) -> (rows,)."""
        return self.part.multiply(z)[self.before : self.before + self.rows] * self.scale

    def pull_back(self, g: Tensor) -> Tensor:
        """What these rows add to P^T g: (rows,) -> (dim,)."""
        after = self.part.full_dim - self.before - self.rows
        return self.part.multiply(pad(g, (self.before, after)), transposed=True) * self.scale


def window(kind: type[_P], dim: int, full_dim: int, seed: int, tensors: dict[str, np.ndarray], **options: Any) -> _P:
    """A projection of a class, of these tensors, and of as many rows as are asked for, also of fewer than dim."""
    part = kind.__new__(kind)
    FixedTensors.__init__(part)
    vars(part).update(dim=dim, full_dim=full_dim, seed=seed, nbytes=0, _fingerprints={}, **options)
    for name, array in tensors.items():
        part.store(name, array)
    return part
