"""W + s B A of nn.Embedding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.layers.low_rank.base import LowRank, check_rank
from intrinsic.surgery.added_module import exactly, wide_like


class LowRankEmbedding(LowRank):
    """nn.Embedding: A (r, tokens) zero, B (width, r) normal: here A is the zero factor, as in LoRA's own code.

    The column of A for the padding token is no coordinate, as that token has no gradient in the layer: it is
    `lora_padding` (r,), a buffer, zero unless a file of PEFT's brings another one. With the layer's
    `scale_grad_by_freq`, gradients of A's columns are divided as those of the layer's rows are.
    """

    base: nn.Embedding
    lora_padding: Tensor

    def __init__(self, base: nn.Embedding, rank: int, scaling: float, seed: int, dropout: float = 0.0) -> None:
        if dropout:
            raise UserError(
                "dropout needs layers with inputs to drop, an nn.Embedding has none: leave it out of targets"
            )
        tokens, width = base.weight.shape
        super().__init__(base, scaling, dropout, room=check_rank(rank, tokens, width))
        B = torch.from_numpy(rng.normals(seed, width * rank).reshape(width, rank))
        self._hold(torch.zeros(rank, tokens), B)
        if base.padding_idx is not None:
            self.register_buffer("lora_padding", torch.zeros(rank).to(wide_like(self.target)))

    def forward(self, tokens: Tensor) -> Tensor:
        """(...) -> (..., width)."""
        if tokens.ndim == 0:
            return self.forward(tokens.unsqueeze(0)).squeeze(0)
        out = self.base(tokens)
        with exactly(out.device):  # a table's rows are as precise as the table, under autocast too
            rows = F.embedding(tokens, self.factor().T, scale_grad_by_freq=self.base.scale_grad_by_freq)
            return self._add(out.to(rows.dtype), rows).to(out.dtype)

    def delta(self) -> Tensor:
        """S (B A)^T: (tokens, width)."""
        return self.scaling * (self.lora_B @ self.factor()).T

    def factor(self) -> Tensor:
        """A with the padding token's column in its place: (r, tokens)."""
        padding = self.base.padding_idx
        if padding is None:
            return self.lora_A
        index = torch.tensor([padding], device=self.lora_A.device)
        return self.lora_A.index_copy(1, index, self.lora_padding.to(self.lora_A.dtype).unsqueeze(1))
