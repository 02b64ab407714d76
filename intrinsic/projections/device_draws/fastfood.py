"""The diagonals and permutations of Fastfood, drawn by torch."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng, rng_torch
from intrinsic.projections.device_draws.certain import normals, uncertain

if TYPE_CHECKING:
    from intrinsic.projections.fastfood import Fastfood

_PART = 1 << 24  # weights at a time: what is drawn is larger than what is kept


def draw(
    projection: "Fastfood",
    device: torch.device,
    shape: tuple[int, int],
    dtype: type[np.unsignedinteger],
    gaussian: bool,
) -> dict[str, Tensor]:
    """The tensors of P, of this shape, the permutation of this dtype."""
    signs, gains, permutations = (rng.fan_out(projection.seed, name) for name in ("signs", "gain", "permutation"))
    kind = torch.int16 if np.dtype(dtype).itemsize == 2 else torch.int32
    (blocks, n), step = shape, max(1, _PART // shape[1])
    sign = rng_torch.signs(signs, blocks * n, device=device).view(shape)
    gain, source = torch.empty(shape, device=device), torch.empty(shape, dtype=kind, device=device)
    for low in range(0, blocks, step):
        rows = gain[low : low + step]
        if gaussian:
            _gains(gains, low, rows)
        else:
            drawn = rng_torch.signs(gains, rows.numel(), device=device, start=low * n).view(rows.shape)
            rows.copy_(drawn.double() / n**0.5)
        keys = rng_torch.ordered_keys(permutations, rows.numel(), device=device, start=low * n).view(rows.shape)
        source[low : low + step] = torch.sort(keys, dim=1, stable=True).indices
    return {"sign": sign, "gain": gain, "source": source}


def _gains(seed: int, low: int, out: Tensor) -> None:
    """Normal numbers over the length of their block; blocks that another last bit would change, by numpy: one in 400 of
    1,024 numbers.
    """
    n = out.shape[1]
    x = normals(rng_torch.uniforms(seed, out.numel(), device=out.device, start=low * n).view(out.shape))
    x /= torch.linalg.vector_norm(x, dim=1, keepdim=True)
    out.copy_(x)
    for block in uncertain(x, float).any(1).nonzero().view(-1).tolist():
        numbers = rng.normals(seed, n, start=(low + block) * n)[None]
        exact = (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float32)
        out[block] = torch.from_numpy(exact[0])
