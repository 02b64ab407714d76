"""The way from a layer to the layer with its update."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from intrinsic.errors import UserError
from intrinsic.layers.low_rank.attention import AttentionParts
from intrinsic.layers.low_rank.base import LowRank
from intrinsic.layers.low_rank.experts import LowRankExperts
from intrinsic.layers.low_rank.inner import inner_kinds
from intrinsic.layers.low_rank.kinds import kinds, part_kinds
from intrinsic.layers.low_rank.shared import shared_kinds
from intrinsic.layers.why_not_plain import why_not_plain
from intrinsic.surgery.torch_internals import own_parameters


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
    reason = why_not_plain(base, kind, weight)
    if getattr(base, "max_norm", None) is not None:
        reason = "a max_norm"
    if attention and dropout > 0:
        reason = "dropout, as attention reads its weight and has no input to drop"
    if reason is not None:
        raise UserError(f"LoRA cannot update a {type(base).__name__} with {reason}: leave it out of targets")
    return wrapper
