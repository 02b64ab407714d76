"""Some rows of P."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from intrinsic.projections.fixed_tensors import FixedTensors


class InParts(NamedTuple):
    """A tensor of all of P whose numbers come one part after the other, and are nowhere all at once."""

    dtype: np.dtype
    shape: tuple[int, ...]
    parts: Iterator[np.ndarray]


class RowBlock(FixedTensors, ABC):
    """Rows low ... high - 1 of P: what the weights low ... high - 1 move by, and what they add to P^T g.

    Products are without autograd, in float32 at least. A subclass for a projection class takes its arguments, `dim`,
    `full_dim`, `low`, `high`, and its seed and options by keyword; or it has a `draw` of its own.

    Args:
        dim: d, the number of coordinates.
        rows: high - low.
    """

    def __init__(self, dim: int, rows: int) -> None:
        super().__init__()
        self.dim, self.rows = dim, rows

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

    @staticmethod
    def whole(dim: int, full_dim: int, *, seed: int, **options: Any) -> Mapping[str, InParts] | None:
        """The tensors of all of P by name, those that are made later included, for its fingerprint. None: draw P."""
        return None

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return sum(tensor.nbytes for tensor in self.fixed_tensors().values())

    @abstractmethod
    def multiply(self, z: Tensor) -> Tensor:
        """P z in these rows: (dim,) -> (rows,)."""

    @abstractmethod
    def pull_back(self, g: Tensor) -> Tensor:
        """What these rows add to P^T g: (rows,) -> (dim,)."""


def wide(x: Tensor) -> Tensor:
    """x in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
