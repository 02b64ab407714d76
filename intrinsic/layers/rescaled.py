"""A linear layer whose outputs, or inputs, are scaled one by one."""

from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.surgery.added_module import beside, exactly, wide_like
from intrinsic.surgery.wrapper import Wrapper


class Rescaled(Wrapper):
    """l * (W x + b), or W (l * x) + b with `inputs`: l starts at 1, a number for each output or input.

    `weight` and `bias` are the effective ones, for code that reads them instead of calling the layer.

    Args:
        base: nn.Linear or transformers' Conv1D.
        inputs: whether inputs are scaled.
    """

    ia3_l: Tensor

    def __init__(self, base: nn.Module, *, inputs: bool) -> None:
        super().__init__(base, inputs=inputs)
        weight = base.weight
        assert isinstance(weight, Tensor)
        self.narrow = weight.dtype
        self.ia3_l = nn.Parameter(torch.ones(weight.shape[self._axis]).to(wide_like(weight)))

    @property
    def _axis(self) -> int:
        """The axis of the weight that is scaled."""
        outputs = 0 if isinstance(self.base, nn.Linear) else 1  # Conv1D: (in, out)
        return 1 - outputs if self.inputs else outputs

    def constants(self) -> dict[str, Any]:
        """Which side."""
        return {"inputs": self.inputs}

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if self.inputs:
            return self.base(x * beside(self.ia3_l, x))
        out = self.base(x)
        return (out * beside(self.ia3_l, out)).to(out.dtype)

    @property
    def weight(self) -> Tensor:
        """The effective weight, in the precision of W."""
        weight = self.base.weight
        assert isinstance(weight, Tensor)
        with exactly(weight.device):
            scale = self.ia3_l if self._axis == weight.ndim - 1 else self.ia3_l[:, None]
            return (weight * scale).to(weight.dtype)

    @property
    def bias(self) -> Tensor | None:
        """The effective bias."""
        bias = self.base.bias
        assert bias is None or isinstance(bias, Tensor)
        return bias if self.inputs or bias is None else (bias * self.ia3_l).to(bias.dtype)
