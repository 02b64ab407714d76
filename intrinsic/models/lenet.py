"""LeNet with ReLU and max pooling."""

from collections.abc import Sequence

from torch import nn

from intrinsic.models.lenet_frame import KERNEL, LeNetFrame


class LeNet(LeNetFrame):
    """Twice (5 x 5 convolution without padding, ReLU, 2 x 2 max pool) to 6 and 16 channels, then 120-84-`head`.

    Inputs, outputs, start and errors are those of `LeNetFrame`. 44,426 parameters on (1, 28, 28) and 62,006 on
    (3, 32, 32), with 10 outputs.

    Source: LeCun et al. 1998 (the shape); Li et al. 2018, arXiv:1804.08838 (this variant).
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__(input_shape, num_outputs, layer=_convolution)


def _convolution(in_channels: int, out_channels: int, height: int, width: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, KERNEL)
