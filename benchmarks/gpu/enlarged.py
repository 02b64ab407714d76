"""P for more weights than can be drawn in the time of a measurement."""

import copy
from typing import Any

import torch
from torch import Tensor

import intrinsic
from intrinsic.projections.base import Projection

REPEATED = (intrinsic.Fastfood, intrinsic.OneHot)  # whose P takes minutes for 10^9 weights


def enlarged(kind: type[Projection], dim: int, full_dim: int, device: torch.device, drawn: int) -> Projection:
    """A P whose products take the time of those of P(dim, full_dim), on `device`: that P, if it is drawn quickly.

    Above `drawn` weights Fastfood repeats the blocks of a smaller P, and OneHot the signs, its groups being those of a
    random order of torch's.
    """
    if kind not in REPEATED or full_dim <= drawn:
        return kind(dim, full_dim, seed=0).to(device)
    part: Any = kind(dim, drawn, seed=0).to(device)
    whole = copy.copy(part)
    whole.full_dim = full_dim
    if kind is intrinsic.Fastfood:
        blocks = -(-full_dim // part.sign.shape[1])
        for tensor in ("sign", "gain", "source"):
            setattr(whole, tensor, _repeated(getattr(part, tensor), blocks))
    else:
        small, whole.larger = divmod(full_dim, dim)
        sizes = small + (torch.arange(dim, device=device) < whole.larger)
        order = torch.randperm(full_dim, dtype=part.order.dtype, device=device)
        code = _repeated(part.code & 1, full_dim)
        code[order.long()] += torch.repeat_interleave(2 * torch.arange(dim, dtype=code.dtype, device=device), sizes)
        whole.code, whole.order, whole.sizes = code, order, sizes.to(part.sizes.dtype)
    whole.nbytes = kind.plan(dim, full_dim)
    return whole


def _repeated(tensor: Tensor, rows: int) -> Tensor:
    times = -(-rows // len(tensor))
    return tensor.repeat(times, *[1] * (tensor.ndim - 1))[:rows].contiguous()
