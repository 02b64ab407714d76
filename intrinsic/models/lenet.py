"""LeNet with ReLU and max pooling."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from intrinsic.errors import UserError
from intrinsic.models.initial import kaiming_normal

_SMALLEST = 16  # pixels a side: the second pooling must leave one


class LeNet(nn.Module):
    """Twice (5 x 5 convolution without padding, ReLU, 2 x 2 max pool) to 6 and 16 channels, then 120-84-`head`.

    Inputs (n, channels, height, width), outputs (n, num_outputs). Weights are Kaiming-normal for ReLU from torch's
    global random state, biases zero. 44,426 parameters on (1, 28, 28) and 62,006 on (3, 32, 32), with 10 outputs.

    Raises:
        UserError: unless input_shape is three integers >= 1, its sides are >= 16, and num_outputs is an integer >= 1.

    Source: LeCun et al. 1998 (the shape); Li et al. 2018, arXiv:1804.08838 (this variant).
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        for value in (num_outputs, *input_shape):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"LeNet: need integers >= 1 in num_outputs and input_shape, got {value!r}")
        if len(input_shape) != 3 or min(input_shape[1:]) < _SMALLEST:
            raise UserError(
                f"LeNet: need images (channels, height, width) of at least {_SMALLEST} x {_SMALLEST} pixels, got "
                f"{tuple(input_shape)}: take model=mlp or larger images"
            )
        channels, *sides = input_shape
        height, width = (((side - 4) // 2 - 4) // 2 for side in sides)
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.linear1 = nn.Linear(16 * height * width, 120)
        self.linear2 = nn.Linear(120, 84)
        self.head = nn.Linear(84, num_outputs)
        kaiming_normal(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to outputs (n, num_outputs)."""
        x = functional.max_pool2d(functional.relu(self.conv1(inputs)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2).flatten(1)
        return self.head(functional.relu(self.linear2(functional.relu(self.linear1(x)))))
