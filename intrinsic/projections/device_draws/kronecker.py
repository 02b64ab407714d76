"""The signs of Kronecker, drawn by torch."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intrinsic import rng, rng_torch

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker


def draw(
    projection: "Kronecker", device: torch.device, left: tuple[int, int], right: tuple[int, int]
) -> dict[str, Tensor]:
    """The tensors of P, the factors of these shapes."""

    def signs(purpose: str, *shape: int) -> Tensor:
        seed = rng.fan_out(projection.seed, purpose)
        return rng_torch.signs(seed, torch.Size(shape).numel(), device=device).view(shape)

    return {
        "left": signs("left", *left),
        "right": signs("right", *right),
        "sign": signs("signs", projection.full_dim),
    }
