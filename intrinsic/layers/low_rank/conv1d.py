"""W + s B A of Hugging Face's Conv1D."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic.layers.low_rank.base import LowRank, check_rank, kaiming
from intrinsic.surgery.added_module import beside


class LowRankConv1D(LowRank):
    """transformers' Conv1D, a linear layer whose weight is (in, out): A (r, in), B (out, r), as PEFT has them."""

    def __init__(self, base: nn.Module, rank: int, scaling: float, seed: int, dropout: float = 0.0) -> None:
        super().__init__(base, scaling, dropout)
        inputs, outputs = self.target.shape
        self.room = check_rank(rank, outputs, inputs)
        self._hold(kaiming(seed, rank, inputs), torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return self._add(self.base(x), F.linear(self._drop(x), beside(self.lora_A, x)))

    def delta(self) -> Tensor:
        """S (B A)^T: (in, out)."""
        return self.scaling * (self.lora_B @ self.lora_A).T
