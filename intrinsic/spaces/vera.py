"""Vectors between random matrices that all layers share."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from intrinsic import rng
from intrinsic.layers.low_rank import LowRank, shared_kinds, shared_low_rank
from intrinsic.spaces.low_rank import LowRankSpace
from intrinsic.surgery.targets import find_targets


@dataclass(frozen=True)
class VeRA(LowRankSpace):
    """b (out,) and d (r,) in W + s diag(b) B diag(d) A for each target; s as in `LoRA`: 1 where alpha is the rank.

    A and B are drawn from the seed, the same for every target but for its size, and are not stored. b starts at 0, d at
    0.1. Source: Kopiczko et al. 2023, VeRA, arXiv:2310.11454.

    Args:
        rank: r: r + out numbers a target; a large one costs little, and may be larger than the matrix.
        alpha: the numerator of the scale.
        targets: nn.Linear and transformers' Conv1D modules, named as in `LoRA`; parts of a matrix are none.
        rslora: see `LoRA`.
        rank_pattern: see `LoRA`.
        alpha_pattern: see `LoRA`.
        dropout: see `LoRA`.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> net = intrinsic.Subspace(model, space=intrinsic.VeRA(rank=4))
        >>> dict(zip(net.coordinate_names, net.coordinate_sizes))
        {'0.vera_d': 4, '0.vera_b': 8}
    """

    factors = ("vera_d", "vera_b")

    def _places(self, model: nn.Module) -> dict[str, nn.Module]:
        return find_targets(model, self.targets, tuple(shared_kinds()))

    def _room(self, places: Mapping[str, nn.Module]) -> dict[str, int]:
        return {}  # a rank beyond the matrix's sides has more numbers to choose from, and none in vain

    def _seed(self, seed: int, target: str) -> int:
        return rng.fan_out(seed, "shared")

    def _layer(self, module: nn.Module, rank: int, scaling: float, seed: int) -> LowRank:
        return shared_low_rank(module, rank, scaling, seed=seed, dropout=self.dropout)
