"""Rounded results that are the same whoever computes them, and those that may not be."""

import torch
from torch import Tensor

# numpy, scipy and torch give the same real number to 2^-49 of it (measured for ndtri, over its range): 64 times that
_ERROR = 2.0**-43


def uncertain(x: Tensor, rounded: type[float] | type[int]) -> Tensor:
    """Whether another library's x, float64, may be another float32 (`float`) or have another floor (`int`)."""
    low, high = x * (1 - _ERROR), x * (1 + _ERROR)
    return low.float() != high.float() if rounded is float else low.floor() != high.floor()


def normals(uniforms: Tensor) -> Tensor:
    """Standard normal numbers by inversion, up to the last bits of float64: see `uncertain`."""
    return torch.special.ndtri(uniforms)
