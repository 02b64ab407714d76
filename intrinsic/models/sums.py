"""The model of the toy task: its outputs are sums of its parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intrinsic.checks import check_memory, integer
from intrinsic.errors import UserError


class Sums(nn.Module):
    """Output k is the sum of the parameters k m ... (k + 1) m - 1 with m = full_dim / num_outputs, for every input.

    Inputs (n, ...) count only by their number, outputs are (n, num_outputs). The one parameter `weight` (full_dim,)
    starts at zero, so that the loss at the start is the same for every seed. There is no layer `head`.

    Raises:
        UserError: unless full_dim and num_outputs are integers >= 1 and num_outputs divides full_dim, and for
            weights beyond the memory at hand.

    Source: Li et al. 2018, arXiv:1804.08838, the toy example.
    """

    def __init__(self, input_shape: Sequence[int], num_outputs: int, *, full_dim: int) -> None:
        super().__init__()
        for name, value in {"full_dim": full_dim, "num_outputs": num_outputs}.items():
            integer(name, value, 1, of="Sums")
        if full_dim % num_outputs:
            raise UserError(f"Sums: need full_dim divisible by {num_outputs} outputs, got full_dim={full_dim}")
        check_memory(4 * full_dim, f"Sums of {full_dim=}")
        self.num_outputs = num_outputs
        self.weight = nn.Parameter(torch.zeros(full_dim))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (n, ...) to the sums (n, num_outputs), one row for each input."""
        return self.weight.view(self.num_outputs, -1).sum(dim=1).expand(len(inputs), -1)
