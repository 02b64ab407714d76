"""The convolutional network that evolution strategies train on Atari's games."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.models.kaiming_normal import kaiming_normal

_STRIDE = 8  # pixels a side to each position that the last layer sees


class Atari(nn.Module):
    """8 x 8 convolution to 16 channels at stride 4, 4 x 4 to 32 at stride 2, 256, `head`; norm and ReLU after each.

    Inputs (n, channels, height, width), outputs (n, num_outputs). Edges are padded with zeros, so that strides divide
    the sides. A norm is over all features of an example, with a scale and a shift for each channel; the source has
    virtual batch norm there, of as many numbers: 1,005,974 parameters on (4, 84, 84) with 6 outputs, as Li et al. 2018
    (arXiv:1804.08838) give for Pong. Weights are Kaiming-normal from torch's global random state, biases zero.

    Raises:
        UserError: unless input_shape is three integers >= 1, its sides are >= 8, and num_outputs is an integer >= 1.

    Source: Salimans et al. 2017, arXiv:1703.03864.
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        integer("num_outputs", num_outputs, 1, of="Atari")
        for side in input_shape:
            integer("side of input_shape", side, 1, of="Atari")
        if len(input_shape) != 3 or min(input_shape[1:]) < _STRIDE:
            raise UserError(
                f"Atari: need images (channels, height, width) of at least {_STRIDE} x {_STRIDE} pixels, got "
                f"{tuple(input_shape)}: use model=mlp, or environment.frames=4"
            )
        channels, *sides = input_shape
        self.conv1, self.conv2 = nn.Conv2d(channels, 16, 8, stride=4), nn.Conv2d(16, 32, 4, stride=2)
        high, wide = (math.ceil(math.ceil(side / 4) / 2) for side in sides)
        self.linear = nn.Linear(32 * high * wide, 256)
        self.norms = nn.ModuleList(nn.GroupNorm(1, count) for count in (16, 32, 256))
        self.head = nn.Linear(256, num_outputs)
        for layer in (self.conv1, self.conv2, self.linear, self.head):
            kaiming_normal(layer)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to outputs (n, num_outputs)."""
        x = inputs
        for layer, norm in zip((self.conv1, self.conv2), self.norms, strict=False):
            x = functional.relu(norm(layer(_padded(x, layer))))
        return self.head(functional.relu(self.norms[2](self.linear(x.flatten(1)))))


def _padded(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """With zeros at the edges, so that the layer has ceil(side / stride) positions: (n, channels, height, width)."""
    pads: list[int] = []
    for side, kernel, stride in zip(x.shape[2:], layer.kernel_size, layer.stride, strict=True):
        missing = max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)
        pads = [missing // 2, missing - missing // 2, *pads]
    return functional.pad(x, pads)
