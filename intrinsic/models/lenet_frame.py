"""The frame of the networks of LeNet's sizes: everything but their first two layers."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.models.kaiming_normal import kaiming_normal

KERNEL = 5  # pixels a side
_SMALLEST = 16  # pixels a side: the second pooling must leave one


class LeNetFrame(nn.Module):
    """Twice (a layer, ReLU, 2 x 2 max pool) to 6 and 16 channels of sides less by 4 and then halved, 120-84-`head`.

    Inputs (n, channels, height, width), outputs (n, num_outputs). Weights are Kaiming-normal for ReLU from torch's
    global random state, biases zero.

    Args:
        input_shape: (channels, height, width).
        num_outputs: of the head.
        layer: layer(in_channels, out_channels, height, width) maps images (n, in_channels, height, width) to
            (n, out_channels, height - 4, width - 4).

    Raises:
        UserError: unless input_shape is three integers >= 1, its sides are >= 16, and num_outputs is an integer >= 1.
    """

    def __init__(
        self, input_shape: Sequence[int], num_outputs: int, *, layer: Callable[[int, int, int, int], nn.Module]
    ) -> None:
        super().__init__()
        name = type(self).__name__
        integer("num_outputs", num_outputs, 1, of=name)
        for side in input_shape:
            integer("side of input_shape", side, 1, of=name)
        if len(input_shape) != 3 or min(input_shape[1:]) < _SMALLEST:
            raise UserError(
                f"{name}: need images (channels, height, width) of at least {_SMALLEST} x {_SMALLEST} pixels, got "
                f"{tuple(input_shape)}: use model=mlp or larger images"
            )
        channels, *sides = input_shape
        halved = [(side - KERNEL + 1) // 2 for side in sides]
        height, width = ((side - KERNEL + 1) // 2 for side in halved)
        self.conv1 = layer(channels, 6, *sides)
        self.conv2 = layer(6, 16, *halved)
        self.linear1 = nn.Linear(16 * height * width, 120)
        self.linear2 = nn.Linear(120, 84)
        self.head = nn.Linear(84, num_outputs)
        kaiming_normal(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to outputs (n, num_outputs)."""
        x = functional.max_pool2d(functional.relu(self.conv1(inputs)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2).flatten(1)
        return self.head(functional.relu(self.linear2(functional.relu(self.linear1(x)))))
