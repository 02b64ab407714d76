"""The weights theta_0 + P z as leaves of autograd's graph."""

from collections.abc import Sequence

import torch
from torch import Tensor

from intrinsic.projections.base import Projection
from intrinsic.projections.kernels.select import is_tracing
from intrinsic.subspace.buffer import Buffer
from intrinsic.subspace.flat import dense
from intrinsic.subspace.substitution import Substitution
from intrinsic.surgery.optimizer_internals import has_hooks


class Leaves:
    """The weights theta_0 + P z as tensors at which a backward pass ends and leaves its gradients; z is in no graph.

    For a loop that calls `backward` itself. What it saves is autograd's way from the weights to z, and nothing is
    rounded otherwise, but where the gradient of a weight comes in parts that are rounded: from re-entrant activation
    checkpointing, which projects each part by itself there, and from autocast of a weight that is used twice.

    Args:
        held: the model's parameters, whose values are theta_0.
        projection: P.
        z: the coordinates.
    """

    def __init__(self, held: Substitution, projection: Projection, z: Tensor) -> None:
        self._held, self._projection, self._z = held, projection, z
        self._buffer: Buffer | None = None
        self._leaves: list[Tensor] = []

    @staticmethod
    def suit(parameters: Sequence[Tensor], z: Tensor) -> bool:
        """Whether z is trained by leaves as by autograd's way to it, the parameters and z as they are now.

        Not with parameters of several dtypes or devices; not if a tracer, a hook or nobody waits for the gradient of z;
        not in autocast, which keeps its casts of leaves from step to step.
        """
        alike = len({(p.dtype, p.device) for p in parameters}) == 1
        wanted = z.requires_grad and z.is_leaf and not has_hooks(z) and not is_tracing(z)
        return alike and wanted and not torch.is_autocast_enabled(z.device.type)

    def weights(self) -> dict[str, Tensor]:
        """The weights by name, as new leaves; valid until the next call.

        Raises:
            UserError: if modules or parameters were put into the model since the Subspace was made.
        """
        origin = self._held.parameters()
        parameters = list(origin.values())
        buffer = self._buffer
        if buffer is None or not buffer.fits(parameters):
            self._buffer = buffer = Buffer(parameters)
        self._projection.displace_pieces(self._z.detach(), parameters, buffer.whole)
        self._leaves = [view.detach().requires_grad_() for view in buffer.views]
        return dict(zip(origin, self._leaves, strict=True))

    def collect(self) -> None:
        """Add P^T g to z.grad, where g are the gradients that a backward pass has left."""
        grads = [leaf.grad for leaf in self._leaves]
        if all(grad is None for grad in grads):
            return
        pieces = [
            torch.zeros_like(leaf) if grad is None else dense(grad)
            for leaf, grad in zip(self._leaves, grads, strict=True)
        ]
        for leaf in self._leaves:
            leaf.grad = None
        g = self._projection.multiply_pieces(pieces, out=torch.empty_like(self._z))
        self._z.grad = g if self._z.grad is None else self._z.grad.add_(g)
