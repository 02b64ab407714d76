"""A fully connected network."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from intrinsic.checks import check_memory, integer, share
from intrinsic.models.check_layers import check_layers
from intrinsic.models.kaiming_normal import kaiming_normal


class MLP(nn.Module):
    """Flatten, then `depth` hidden layers of `width` with ReLU and dropout, then the linear `head`.

    Inputs (n, *input_shape), outputs (n, num_outputs). Weights are Kaiming-normal for ReLU from torch's global
    random state, biases zero. depth=2, width=200 on (1, 28, 28) with 10 outputs has 199,210 parameters.

    Raises:
        UserError: unless depth, width, num_outputs and the sides of input_shape are integers >= 1 and 0 <= dropout < 1;
            for weights beyond the memory at hand, and for more than 10,000 layers.

    Source: He et al. 2015, arXiv:1502.01852 (initialisation); Li et al. 2018, arXiv:1804.08838 (the network).
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int, *, depth: int, width: int, dropout: float) -> None:
        super().__init__()
        counts = {"depth": depth, "width": width, "num_outputs": num_outputs}
        for name, value in (*counts.items(), *(("side of input_shape", side) for side in input_shape)):
            integer(name, value, 1, of="MLP")
        share("dropout", dropout, of="MLP")
        inputs = math.prod(input_shape)
        check_memory(4 * width * (inputs + (depth - 1) * width + num_outputs + depth), f"MLP of {depth=}, {width=}")
        check_layers(depth, "MLP")
        sizes = [inputs] + [width] * depth
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_outputs)
        kaiming_normal(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (n, *input_shape) to outputs (n, num_outputs)."""
        x = inputs.flatten(1)
        for layer in self.hidden:
            x = self.dropout(functional.relu(layer(x)))
        return self.head(x)
