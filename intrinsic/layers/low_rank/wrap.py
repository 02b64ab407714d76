"""The way from a layer to the layer with its update."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from intrinsic.errors import UserError
from intrinsic.layers.int8 import Int8
from intrinsic.layers.low_rank.attention import AttentionParts
from intrinsic.layers.low_rank.base import LowRank
from intrinsic.layers.low_rank.experts import LowRankExperts
from intrinsic.layers.low_rank.inner import inner_kinds
from intrinsic.layers.low_rank.kinds import kinds, part_kinds
from intrinsic.layers.low_rank.shared import shared_kinds
from intrinsic.surgery.torch_internals import CONV_FORWARD, own_parameters
from intrinsic.surgery.wrapper import forward_was_set


def low_rank(base: nn.Module, rank: int, scaling: float, *, seed: int, dropout: float = 0.0) -> LowRank:
    """The wrapper for this kind of layer: one of `kinds`, or a subclass with the same forward.

    Raises:
        UserError: if the layer computes something else, for which W + s B A would not be its update, or the rank is
            larger than its matrix allows.
    """
    layer: LowRank = _find(base, kinds(), dropout)(base, rank, scaling, seed, dropout)
    return layer


def inner_low_rank(base: nn.Module, rank: int, scaling: float, singular: str, *, dropout: float = 0.0) -> LowRank:
    """The wrapper with frozen singular vectors around what is trained.

    Raises:
        UserError: as `low_rank`.
    """
    layer: LowRank = _find(base, inner_kinds(), dropout)(base, rank, scaling, singular, dropout)
    return layer


def shared_low_rank(base: nn.Module, rank: int, scaling: float, *, seed: int, dropout: float = 0.0) -> LowRank:
    """The wrapper with trained vectors around frozen matrices that are drawn from `seed`.

    Raises:
        UserError: as `low_rank`.
    """
    layer: LowRank = _find(base, shared_kinds(), dropout)(base, rank, scaling, seed, dropout)
    return layer


def low_rank_parts(base: nn.Module, parts: Mapping[str, tuple[int, float, int]], *, dropout: float = 0.0) -> LowRank:
    """The wrapper with updates for parts of a fused matrix: rank, scaling and seed by the part's name.

    Raises:
        UserError: as `low_rank`.
    """
    layer: LowRank = _find(base, part_kinds(), dropout)(base, parts, dropout)
    return layer


def low_rank_experts(
    base: nn.Module, tensors: Mapping[str, tuple[int, float, int]], *, dropout: float = 0.0
) -> list[LowRank]:
    """The wrappers for tensors of a mixture of experts, each around the one before: as `low_rank_parts`.

    Raises:
        UserError: as `low_rank`.
    """
    wrappers: list[LowRank] = []
    for name in [name for name in own_parameters(base) if name in tensors]:
        wrappers.append(LowRankExperts(wrappers[-1] if wrappers else base, name, *tensors[name], dropout))
    return wrappers


def _find(base: nn.Module, wrappers: Mapping[type[nn.Module], Any], dropout: float) -> Any:
    kind, wrapper = next((kind, wrapper) for kind, wrapper in wrappers.items() if isinstance(base, kind))
    attention = isinstance(base, nn.MultiheadAttention | NonDynamicallyQuantizableLinear)
    weight = "in_proj_weight" if wrapper is AttentionParts else "weight"
    reasons = {
        "a forward of its own": not isinstance(base, Int8) and _differs(base, kind),
        f"a {weight} that is computed from other numbers (weight_norm, spectral_norm, prune, parametrize)": (
            own_parameters(base).get(weight) is None and not isinstance(base, Int8)
        ),
        "a max_norm": getattr(base, "max_norm", None) is not None,
        "dropout, as attention reads its weight and has no input to drop": attention and dropout > 0,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"LoRA cannot update a {type(base).__name__} with {reason}: leave it out of targets")
    return wrapper


def _differs(base: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer computes in another way than its kind: by its class, or a forward that was set on it."""
    methods = [name for name in ("forward", "__call__", CONV_FORWARD) if hasattr(kind, name)]
    if forward_was_set(base):
        return True
    return any(getattr(type(base), name) is not getattr(kind, name) for name in methods) and not _is_linear(base)


@torch.no_grad()
def _is_linear(base: nn.Module) -> bool:
    """Whether a kind of nn.Linear with a forward of its own returns W x + b after all, as Falcon's does."""
    if not isinstance(base, nn.Linear) or not own_parameters(base).keys() <= {"weight", "bias"} or any(base.buffers()):
        return False
    weight, bias = base.weight, base.bias
    if any(True for _ in base.children()) or weight.is_meta or not weight.is_floating_point():
        return False
    x = torch.arange(1, 1 + 2 * base.in_features, device=weight.device).square().mul(0.7).sin()
    x = x.view(2, base.in_features).to(weight.dtype)
    try:
        found, expected = type(base).forward(base, x), F.linear(x, weight, bias)
    except Exception:  # other people's code, on an input that it may not expect
        return False
    close = 16 * torch.finfo(weight.dtype).eps * float(expected.abs().max())  # the rounding of a sum of products
    return found.shape == expected.shape and float((found - expected).abs().max()) <= close
