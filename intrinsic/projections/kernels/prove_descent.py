"""A proof that a descent has the bits of two products and of torch's fused Adam between them."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.surgery.optimizer_internals import fused_adam

# all that torch's step has: whole vectors of any processor, half of one, single numbers
_DIM, _FULL_DIM, _SEED, _STEPS = 47, 4099, (5 << 32) + 3, 8
_SIZES = (1037, 1, 3061)  # of the pieces
_SETTINGS = ((1e-2, 0.9, 0.999, 1e-8), (3e-3, 0.3, 0.98, 1e-3))  # lr, beta1 on both sides of a half, beta2, eps


def prove_descent(owner: Callable[..., Any], kernels: ModuleType, dtype: torch.dtype) -> None:
    """Compare the descent of a projection class with its other kernels, and with torch, for some steps.

    Raises:
        ArithmeticError: if there is a difference, as where torch's compiler has rounded otherwise than `adam` does.
        Exception: whatever a kernel raises.
    """
    projection = owner(_DIM, _FULL_DIM, seed=_SEED)
    with torch.inference_mode(False), torch.no_grad():
        origins, out = _numbers(0, dtype), torch.empty(_FULL_DIM, dtype=dtype)
        for settings in _SETTINGS:
            ours, theirs = ([torch.zeros(_DIM, dtype=dtype) for _ in range(4)] for _ in range(2))
            counts = [torch.zeros(()) for _ in range(2)]
            g, z, *moments = ours
            descend = kernels.descent.repeated(projection, origins, g, z, (*moments, counts[0]), origins, out)
            for step in range(_STEPS):
                pieces = _numbers(1 + step, dtype)
                descend(pieces, settings)
                kernels.rmatvec_pieces(projection, pieces, theirs[0])
                _adam(theirs, counts[1], settings)
                expected = torch.empty_like(out)
                kernels.matvec_pieces(projection, theirs[1], origins, expected)
                pairs = zip((*ours, counts[0], out), (*theirs, counts[1], expected), strict=True)
                if not all(torch.equal(one, other) for one, other in pairs):
                    raise ArithmeticError("a descent has other bits than its parts")


def _adam(tensors: list[Tensor], count: Tensor, settings: tuple[float, ...]) -> None:
    g, z, first, second = tensors
    lr, beta1, beta2, eps = settings
    count.add_(1)
    fused_adam(
        [z], [g], [first], [second], [], [count], lr=lr, beta1=beta1, beta2=beta2, weight_decay=0.0, eps=eps,
        amsgrad=False, maximize=False, grad_scale=None, found_inf=None,
    )  # fmt: skip


def _numbers(lane: int, dtype: torch.dtype) -> list[Tensor]:
    """Of many orders of magnitude, without torch's random state."""
    drawn = rng.normals(_SEED, _FULL_DIM, lane=lane) * np.exp(rng.normals(_SEED, _FULL_DIM, lane=lane + 100))
    return list(torch.from_numpy(drawn).to(dtype).split(_SIZES))
