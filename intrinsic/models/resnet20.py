"""The residual network of 20 layers for small images."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from intrinsic.checks import integer
from intrinsic.errors import UserError

_WIDTHS = (16, 32, 64)  # channels of the three stages
_BLOCKS = 3  # in each stage: 1 + 2 * 3 * 3 + 1 = 20 layers with weights
_SMALLEST = 8  # pixels a side: two halvings must leave an image


class ResNet20(nn.Module):
    """A 3 x 3 convolution, three stages of three residual blocks, global average pooling, and the linear `head`.

    Inputs (n, channels, height, width), outputs (n, num_outputs). Shortcuts have no parameters (option A). Weights are
    Kaiming-normal for ReLU from torch's global random state, biases zero. 269,722 parameters on (3, 32, 32) with 10
    outputs; BatchNorm's running statistics are buffers.

    Raises:
        UserError: unless input_shape is three integers >= 1, its sides are >= 8, and num_outputs is an integer >= 1.

    Source: He et al. 2016, Deep residual learning, arXiv:1512.03385, section 4.2.
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        integer("num_outputs", num_outputs, 1, of="ResNet20")
        for side in input_shape:
            integer("side of input_shape", side, 1, of="ResNet20")
        if len(input_shape) != 3 or min(input_shape[1:]) < _SMALLEST:
            raise UserError(
                f"ResNet20: need images (channels, height, width) of at least {_SMALLEST} x {_SMALLEST} pixels, got "
                f"{tuple(input_shape)}: use model=mlp or larger images"
            )
        self.conv = nn.Conv2d(input_shape[0], _WIDTHS[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(_WIDTHS[0])
        widths = [_WIDTHS[0], *(width for width in _WIDTHS for _ in range(_BLOCKS))]
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in pairwise(widths)))
        self.head = nn.Linear(_WIDTHS[-1], num_outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to outputs (n, num_outputs)."""
        x = self.blocks(functional.relu(self.norm(self.conv(inputs))))
        return self.head(x.mean(dim=(-2, -1)))


class _Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))); where the channels double, every second pixel and zero channels."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stride, self.extra = (1, 0) if channels == width else (2, width - channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, height, width) to (n, width, height / stride, width / stride), rounded up."""
        shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return functional.relu(shortcut + self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x))))))
