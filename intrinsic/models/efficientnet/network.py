"""The convolutional network EfficientNet-Lite."""

import math

from torch import Tensor, nn
from torch.nn import functional

STAGES = (  # kernel, stride of its first block, times wider inside, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, LAST = 32, 1280  # channels before and after the blocks, at every width
MEAN, DEVIATION = 127 / 255, 128 / 255  # of what the published weights were trained on
EPSILON = 1e-3  # of BatchNorm, as published; its momentum is 0.1 and not 0.01: few steps must suffice for new images


class EfficientNetLite(nn.Module):
    """A convolution, seven stages of inverted bottlenecks, a 1 x 1 convolution, average pooling, and the linear `_fc`.

    Images (n, 1 or 3, height, width) in [0, 1], grey ones as three equal channels, give (n, num_outputs). They are
    resized bilinearly to `side` x `side` pixels, unless that is None. Names of parameters are those of the published
    state dicts. At width 1, depth 1 and 1,000 outputs it has 4,652,008 parameters.

    Args:
        num_outputs: of the head.
        width: times the channels of the stages, in eighths.
        depth: times the blocks of all stages but the first and the last, rounded up.
        side: pixels a side of what the first convolution sees; None: the images' own.
        dropout: probability with which what the head reads is set to zero in training.

    Source: Tan & Le 2019, EfficientNet, arXiv:1905.11946, table 1; Liu 2020, EfficientNet-Lite (no squeeze and
        excitation, ReLU6, the first and the last layers unscaled).
    """

    def __init__(self, num_outputs: int, *, width: float, depth: float, side: int | None, dropout: float) -> None:
        super().__init__()
        self.side, self.dropout = side, dropout
        self._conv_stem = _conv(3, STEM, 3, stride=2)
        self._bn0 = _norm(STEM)
        blocks, channels = [], STEM
        for number, (kernel, stride, wider, base, count) in enumerate(STAGES):
            for place in range(count if number in (0, len(STAGES) - 1) else math.ceil(depth * count)):
                blocks.append(_Block(channels, _eighths(base * width), kernel, 1 if place else stride, wider))
                channels = _eighths(base * width)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _conv(channels, LAST, 1)
        self._bn1 = _norm(LAST)
        self._fc = nn.Linear(LAST, num_outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        nn.init.normal_(self._fc.weight, std=0.01)
        nn.init.zeros_(self._fc.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (n, 1 or 3, height, width) to (n, num_outputs)."""
        x = (inputs - MEAN) / DEVIATION
        if self.side is not None and x.shape[-2:] != (self.side, self.side):
            x = functional.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        x = functional.relu6(self._bn0(_padded(self._conv_stem, x.expand(-1, 3, -1, -1))))
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x))).mean(dim=(-2, -1))
        return self._fc(functional.dropout(x, self.dropout, self.training))


class _Block(nn.Module):
    """norm(project(relu6(norm(depthwise(relu6(norm(expand(x)))))))), added to x where the shapes allow."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, wider: int) -> None:
        super().__init__()
        inside = channels * wider
        self.expands, self.adds = wider != 1, stride == 1 and channels == width
        if self.expands:
            self._expand_conv = _conv(channels, inside, 1)
            self._bn0 = _norm(inside)
        self._depthwise_conv = _conv(inside, inside, kernel, stride=stride, groups=inside)
        self._bn1 = _norm(inside)
        self._project_conv = _conv(inside, width, 1)
        self._bn2 = _norm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, height, width) to (n, width, height / stride, width / stride), rounded up."""
        inside = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        out: Tensor = self._bn2(self._project_conv(functional.relu6(self._bn1(_padded(self._depthwise_conv, inside)))))
        return x + out if self.adds else out


def _conv(channels: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, width, kernel, stride=stride, groups=groups, bias=False)  # padded by `_padded`


def _padded(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of ceil(side / stride) pixels; of an odd number of zeros, one more lies at the end."""
    (kernel, _), (stride, _) = conv.kernel_size, conv.stride
    padding: list[int] = []
    for side in (x.shape[-1], x.shape[-2]):  # width first, as `pad` takes them
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        padding += [total // 2, total - total // 2]
    out: Tensor = conv(functional.pad(x, padding) if any(padding) else x)
    return out


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


def _eighths(channels: float) -> int:
    """The nearest multiple of 8 that is no more than a tenth smaller."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
