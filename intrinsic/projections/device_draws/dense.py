"""The entries of Dense, drawn by torch."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intrinsic import rng, rng_torch
from intrinsic.projections.device_draws.certain import normals, uncertain

if TYPE_CHECKING:
    from intrinsic.projections.dense import Dense

_PART = 1 << 22  # normal numbers at a time; a multiple of four


def draw(projection: "Dense", device: torch.device, width: int) -> dict[str, Tensor]:
    """The tensors of P: packed signs in rows of `width` words, or Gaussian numbers."""
    dim, full_dim = projection.dim, projection.full_dim
    if projection.entries == "rademacher":
        packed = torch.zeros(-(-full_dim // 32), width, dtype=torch.int32, device=device)
        rng_torch.lanes(projection.seed, dim, 0, packed)
        return {"packed": packed}
    matrix = torch.empty(dim, full_dim, device=device)
    for j in range(dim):
        for low in range(0, full_dim, _PART):
            row = matrix[j, low : low + _PART]
            _gaussian(projection.seed, j, low, row)
    return {"matrix": matrix}


def _gaussian(seed: int, lane: int, start: int, out: Tensor) -> None:
    """`rng.normals` in float32; those whose rounding another last bit would change, by `rng.normals` itself."""
    x = normals(rng_torch.uniforms(seed, len(out), device=out.device, lane=lane, start=start))
    out.copy_(x)
    for i in uncertain(x, float).nonzero().view(-1).tolist():
        out[i] = float(rng.normals(seed, 1, lane=lane, start=start + i)[0])
