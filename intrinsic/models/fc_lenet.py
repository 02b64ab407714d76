"""LeNet whose convolutions are replaced by linear maps of the same sizes."""

from collections.abc import Sequence

from torch import Tensor, nn

from intrinsic.models.lenet_frame import KERNEL, LeNetFrame


class FCLeNet(LeNetFrame):
    """LeNet with any linear map in the place of a convolution: neither local nor shared; pooling stays as it is.

    Inputs, outputs, start and errors are those of `LeNetFrame`. 3,640,574 parameters on (1, 28, 28) with 10 outputs.

    Source: Li et al. 2018, arXiv:1804.08838, the control `FC-LeNet`.
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__(input_shape, num_outputs, layer=_Linear)


class _Linear(nn.Linear):
    """A linear map of the flat pixels and channels, between images."""

    def __init__(self, in_channels: int, out_channels: int, height: int, width: int) -> None:
        self.shape = out_channels, height - KERNEL + 1, width - KERNEL + 1
        super().__init__(in_channels * height * width, self.shape[0] * self.shape[1] * self.shape[2])

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (n, in_channels, height, width) to (n, out_channels, height - 4, width - 4)."""
        return super().forward(inputs.flatten(1)).unflatten(1, self.shape)
