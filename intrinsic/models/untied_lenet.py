"""LeNet whose convolutions do not share their weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intrinsic.models.lenet_frame import KERNEL, LeNetFrame


class UntiedLeNet(LeNetFrame):
    """LeNet with a kernel and a bias of its own at every pixel of a convolution's output: local, but not shared.

    Inputs, outputs, start and errors are those of `LeNetFrame`. 286,334 parameters on (1, 28, 28) with 10 outputs.

    Source: Li et al. 2018, arXiv:1804.08838, the control `untied LeNet`.
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__(input_shape, num_outputs, layer=_Local)


class _Local(nn.Module):
    """Output (c, p) = W_pc . patch p of the input + b_pc, for channel c and pixel p: one matrix product a pixel."""

    def __init__(self, in_channels: int, out_channels: int, height: int, width: int) -> None:
        super().__init__()
        self.sides = height - KERNEL + 1, width - KERNEL + 1
        pixels = self.sides[0] * self.sides[1]
        self.channels = out_channels
        # two axes, so that the fan in of the start is that of one pixel: row (p, c), column (channel, row, column)
        self.weight = nn.Parameter(torch.empty(pixels * out_channels, in_channels * KERNEL * KERNEL))
        self.bias = nn.Parameter(torch.empty(pixels * out_channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (n, in_channels, height, width) to (n, out_channels, height - 4, width - 4)."""
        patches = inputs.unfold(2, KERNEL, 1).unfold(3, KERNEL, 1)  # (n, channels, height - 4, width - 4, 5, 5)
        patches = patches.permute(2, 3, 0, 1, 4, 5).flatten(3).flatten(0, 1)  # (pixels, n, channels * 25)
        kernels = self.weight.unflatten(0, (-1, self.channels)).transpose(1, 2)  # (pixels, channels * 25, out_channels)
        outputs = torch.baddbmm(self.bias.view(-1, 1, self.channels), patches, kernels)
        return outputs.permute(1, 2, 0).unflatten(2, self.sides)
