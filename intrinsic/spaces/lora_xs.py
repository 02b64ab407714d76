"""Small matrices between the singular vectors of chosen layers."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank, inner_kinds, inner_low_rank
from intrinsic.spaces.low_rank import LowRankSpace
from intrinsic.surgery.targets import find_targets

SIDES = ("output", "input")


@dataclass(frozen=True)
class LoRAXS(LowRankSpace):
    """R (r, r) in W + s U R V for each target, U and V the r largest singular vectors of W; s as in `LoRA`.

    R starts at zero; the source draws it from N(0, 1e-10). U and V are computed from W in float64, and are not stored:
    another machine has them to rounding. Source: Balazy et al. 2024, LoRA-XS, arXiv:2405.17604, equation 3.

    Args:
        rank: r: r^2 numbers a target.
        alpha: the numerator of the scale.
        targets: nn.Linear and transformers' Conv1D modules, named as in `LoRA`; parts of a matrix are none.
        rslora: see `LoRA`.
        rank_pattern: see `LoRA`.
        alpha_pattern: see `LoRA`.
        dropout: see `LoRA`.
        singular: which factor has the singular values: "output", A = U Sigma as in the paper's text, or "input",
            Sigma V.

    Examples:
        >>> import torch, intrinsic
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.Linear(8, 2))
        >>> net = intrinsic.Subspace(model, space=intrinsic.LoRAXS(rank=3))
        >>> dict(zip(net.coordinate_names, net.coordinate_sizes))
        {'0.lora_R': 9}
    """

    constants = (*LowRankSpace.constants, "singular")
    factors = ("lora_R",)

    singular: Literal["output", "input"] = "output"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.singular not in SIDES:
            raise UserError(f"need singular={' or '.join(SIDES)}, got singular={self.singular}")

    def _places(self, model: nn.Module) -> dict[str, nn.Module]:
        return find_targets(model, self.targets, tuple(inner_kinds()))

    def _layer(self, module: nn.Module, rank: int, scaling: float, seed: int) -> LowRank:
        return inner_low_rank(module, rank, scaling, self.singular, dropout=self.dropout)
