"""Projections of single tensors, told their shapes."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

Make = Callable[..., Any]


def of_shapes(make: Make, shapes: Sequence[Sequence[int]] | None, count: int) -> list[Make]:
    """What makes the P of each of `count` tensors, by its shape if there are `shapes`."""
    return [make] * count if shapes is None else [partial(_of_shape, make, shape) for shape in shapes]


def _of_shape(make: Make, shape: Sequence[int], dim: int, full_dim: int, *, seed: int) -> Any:
    """The P of a tensor of this shape; where it has more rows than the tensor, of a shape of its own."""
    return make(dim, full_dim, seed=seed, shapes=[shape] if prod(shape) == full_dim else None)
