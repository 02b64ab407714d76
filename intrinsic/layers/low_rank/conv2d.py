"""W + s B A of nn.Conv2d."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intrinsic.errors import UserError
from intrinsic.layers.low_rank.base import LowRank, check_rank, kaiming
from intrinsic.surgery.added_module import beside
from intrinsic.surgery.torch_internals import convolve


class LowRankConv2d(LowRank):
    """nn.Conv2d: A (r, in, kh, kw) with the layer's stride and padding, B (out, r, 1, 1)."""

    base: nn.Conv2d

    def __init__(self, base: nn.Conv2d, rank: int, scaling: float, seed: int, dropout: float = 0.0) -> None:
        if base.groups != 1:
            raise UserError(f"LoRA needs convolutions with groups=1, got groups={base.groups}: leave it out of targets")
        room = check_rank(rank, base.out_channels, base.weight[0].numel())
        super().__init__(base, scaling, dropout, room=room)
        A = kaiming(seed, rank, base.in_channels, *base.kernel_size)
        self._hold(A, torch.zeros(base.out_channels, rank, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w')."""
        A, out = beside(self.lora_A, x), self.base(x)
        inner = convolve(self.base, self._drop(x), A)  # stride, padding and its mode: the layer's
        return out + F.conv2d(self.scaling * inner, beside(self.lora_B, inner)).to(out.dtype)

    def delta(self) -> Tensor:
        """S B A: (out, in, kh, kw)."""
        return self.scaling * torch.einsum("or,rihw->oihw", self.lora_B[..., 0, 0], self.lora_A)
