"""Projections of the sizes at which their rules are checked, and their matrices."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from intrinsic.projections.base import Projection
from intrinsic.projections.identity import Identity

Make = Callable[..., Projection]  # called as make(dim, full_dim, seed=...)
# awkward sizes: one coordinate, as many as weights, neither a power of two
SIZES = ((1, 1), (1, 7), (5, 5), (30, 333), (64, 4096), (100, 4099))


def fitting(make: Make, size: tuple[int, int] = SIZES[3]) -> tuple[int, int]:
    """The size, for which the identity has as many coordinates as weights."""
    return (size[1], size[1]) if isinstance(make(1, 1, seed=0), Identity) else size


def each(make: Make, most: int = 100) -> Iterator[Projection]:
    """One of each size of at most so many coordinates."""
    square = isinstance(make(1, 1, seed=0), Identity)
    for dim, full_dim in SIZES:
        if dim <= most and (dim == full_dim or not square):
            yield make(dim, full_dim, seed=0)


def matrix(projection: Projection) -> Tensor:
    """P as (full_dim, dim) float64, by one product."""
    return projection(torch.eye(projection.dim, dtype=torch.float64)).T


def columns(projection: Projection) -> Tensor:
    """P^T as (dim, full_dim) float64, by a product for each column."""
    return torch.stack([projection(unit) for unit in torch.eye(projection.dim, dtype=torch.float64)])
