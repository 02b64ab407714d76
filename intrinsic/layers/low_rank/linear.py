"""W + s B A of nn.Linear."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic.layers.low_rank.base import LowRank, check_rank, kaiming
from intrinsic.surgery.added_module import beside


class LowRankLinear(LowRank):
    """nn.Linear: A (r, in), B (out, r).

    The update is added by the product with B itself, into the layer's output: nothing of that size is written twice.
    """

    base: nn.Linear

    def __init__(self, base: nn.Linear, rank: int, scaling: float, seed: int, dropout: float = 0.0) -> None:
        self.room = check_rank(rank, base.out_features, base.in_features)
        super().__init__(base, scaling, dropout)
        self._hold(kaiming(seed, rank, base.in_features), torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if x.ndim == 1:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        return self._add(self.base(x), F.linear(self._drop(x), beside(self.lora_A, x)))

    def delta(self) -> Tensor:
        """S B A: (out, in)."""
        return self.scaling * (self.lora_B @ self.lora_A)
