"""The groups and signs of OneHot, drawn by torch."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng, rng_torch

if TYPE_CHECKING:
    from intrinsic.projections.onehot import OneHot


def draw(projection: "OneHot", device: torch.device, dtype: type[np.signedinteger]) -> dict[str, Tensor]:
    """The tensors of P, the code of this dtype. About 40 bytes a weight while they are sorted."""
    dim, full_dim = projection.dim, projection.full_dim
    kind = torch.from_numpy(np.empty(0, dtype)).dtype
    size, larger = divmod(full_dim, dim)
    sizes = torch.full((dim,), size, device=device)
    sizes[:larger] += 1
    order = rng_torch.permutation(rng.fan_out(projection.seed, "partition"), full_dim, device=device)
    code = rng_torch.signs(rng.fan_out(projection.seed, "signs"), full_dim, device=device).clamp_(0).to(kind)
    groups = 2 * torch.arange(dim, device=device).to(kind)
    code[order] += groups.repeat_interleave(sizes, output_size=full_dim)
    return {"code": code, "order": order.int() if full_dim < 2**31 else order, "sizes": sizes}
