"""SqueezeNet 1.0, the network of ImageNet whose parameters are few."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from intrinsic.checks import integer, number
from intrinsic.errors import UserError
from intrinsic.models.kaiming_normal import kaiming_normal

# channels of each Fire module: squeezed, and each half of the expanded; None: a 3 x 3 max pool with stride 2
_FIRES = ((16, 64), (16, 64), (32, 128), None, (32, 128), (48, 192), (48, 192), (64, 256), None, (64, 256))
_STEM, _KERNEL, _STRIDE = 96, 7, 2
_SMALLEST = 21  # pixels a side: three poolings must leave an image


class SqueezeNet(nn.Module):
    """A 7 x 7 convolution, eight Fire modules with max pools between them, dropout, global average pooling and `head`.

    Inputs (n, channels, height, width), outputs (n, num_outputs). Weights are Kaiming-normal for ReLU from torch's
    global random state, biases zero. 1,248,424 parameters on three channels with 1,000 outputs, whatever the sides are.
    The last layer, a 1 x 1 convolution, is linear here and comes after the average, which is the same function but for
    the ReLU between the two in the source.

    Raises:
        UserError: unless input_shape is three integers >= 1, its sides are >= 21, num_outputs is an integer >= 1, and
            0 <= dropout < 1.

    Source: Iandola et al. 2016, arXiv:1602.07360, table 1; of Li et al. 2018, arXiv:1804.08838, section 3.4.
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int, *, dropout: float) -> None:
        super().__init__()
        integer("num_outputs", num_outputs, 1, of="SqueezeNet")
        for side in input_shape:
            integer("side of input_shape", side, 1, of="SqueezeNet")
        if len(input_shape) != 3 or min(input_shape[1:]) < _SMALLEST:
            raise UserError(
                f"SqueezeNet: need images (channels, height, width) of at least {_SMALLEST} x {_SMALLEST} pixels, got "
                f"{tuple(input_shape)}: use model=lenet or larger images"
            )
        if not number("dropout", dropout, 0) < 1:
            raise UserError(f"SqueezeNet: need 0 <= dropout < 1, got dropout={dropout}")
        self.stem = nn.Conv2d(input_shape[0], _STEM, _KERNEL, stride=_STRIDE)
        layers: list[nn.Module] = [_pool()]
        channels = _STEM
        for fire in _FIRES:
            if fire is None:
                layers.append(_pool())
            else:
                layers.append(_Fire(channels, *fire))
                channels = 2 * fire[1]
        self.features, self.dropout = nn.Sequential(*layers), nn.Dropout(dropout)
        self.head = nn.Linear(channels, num_outputs)
        kaiming_normal(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to outputs (n, num_outputs)."""
        x = self.dropout(self.features(functional.relu(self.stem(inputs))))
        return self.head(x.mean(dim=(-2, -1)))


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class _Fire(nn.Module):
    """1 x 1 convolutions to few channels, then 1 x 1 and 3 x 3 convolutions of these, side by side; ReLU after each."""

    def __init__(self, channels: int, squeezed: int, half: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.narrow, self.wide = nn.Conv2d(squeezed, half, 1), nn.Conv2d(squeezed, half, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat([self.narrow(x), self.wide(x)], dim=1))
