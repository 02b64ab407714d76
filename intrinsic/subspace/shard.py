"""One process's part of one tensor of theta."""

from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

import torch
from torch import Tensor, nn

from intrinsic.errors import UserError
from intrinsic.projections.row_blocks.row_blocks import RowBlocks
from intrinsic.surgery.sharding import is_sharded, local
from intrinsic.surgery.torch_internals import version


class Shard:
    """A stretch of theta that is written in place: theta_0 + P z there, or theta_0 + lambda * P z.

    Args:
        name: the tensor's.
        parameter: the model's; what it holds here is theta_0, of which a copy is kept.
        blocks: the rows of P.
        number: the tensor's number among them.
        layer: whose lambda scales the offset; None: no lambda.
    """

    def __init__(self, name: str, parameter: nn.Parameter, blocks: RowBlocks, number: int, layer: int | None) -> None:
        self.name, self.parameter, self.layer = name, parameter, layer
        self.origin = local(parameter).clone()
        self.is_whole = not is_sharded(parameter)  # on every process
        self._blocks, self._number, self._versions = blocks, number, self._seen()

    def check(self) -> None:
        """Check that theta is as this has left it.

        Raises:
            UserError: if somebody else has written to it.
        """
        if self._seen() != self._versions:
            raise UserError(
                f"{self.name} of the sharded model was written to after its Subspace was made: load weights first, "
                "then make the Subspace, and coordinates by intrinsic.load"
            )

    def write(self, z: Tensor, lambdas: Tensor | None = None) -> None:
        """Put theta_0 + P z into the model, rounded once. Without autograd."""
        offset = self._blocks.multiply(z, self._number).view_as(self.origin)
        if lambdas is not None and self.layer is not None:
            offset = offset * lambdas[self.layer]
        self._put(self.origin + offset)

    def restore(self) -> None:
        """Put theta_0 into the model. Without autograd."""
        self._put(self.origin)

    def _put(self, theta: Tensor) -> None:
        local(self.parameter).copy_(theta)
        self._versions = self._seen()

    def _seen(self) -> tuple[int, int]:
        """How often it was written to, as a DTensor and as what that holds here: each counts alone."""
        return version(self.parameter), version(local(self.parameter))

    def pull_back(self, g: Tensor, z: Tensor, lambdas: Tensor | None = None, *, total: Tensor) -> None:
        """Add what a gradient of this stretch adds to that of z, and of lambda behind it. Without autograd."""
        g = g.reshape(-1)
        if lambdas is not None and self.layer is not None:
            g = g.to(total.dtype)
            total[len(z) + self.layer] += g.dot(self._blocks.multiply(z, self._number).to(g.dtype))
            g = g * lambdas[self.layer]
        self._blocks.pull_back(g, self._number, total[: len(z)])


def gradient(parameter: nn.Parameter) -> Tensor:
    """Take what this process has of a parameter's gradient: nothing of it stays."""
    assert parameter.grad is not None
    found = local(parameter.grad)
    parameter.grad = None
    return found if found.layout == torch.strided else found.to_dense()


def on_gradient(parameter: nn.Parameter, method: Callable[[nn.Parameter], None]) -> Any:
    """Have a bound method called when a parameter's gradient is there, for as long as its object is. Return the handle.

    FSDP2 calls such hooks itself, once it has reduced the gradient of a parameter that it shards.
    """
    weak = WeakMethod(method)

    def call(parameter: nn.Parameter) -> None:
        found = weak()
        if found is not None:
            found(parameter)

    return parameter.register_post_accumulate_grad_hook(call)
