"""The weights theta_0 + P z as leaves of autograd's graph."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from intrinsic.projections.base import Projection
from intrinsic.projections.kernels.select import is_tracing
from intrinsic.projections.repeated_products import RepeatedProducts
from intrinsic.subspace.buffer import Buffer
from intrinsic.subspace.dense_gradient import dense
from intrinsic.subspace.substitution import Substitution
from intrinsic.surgery.compiler_internals import is_compiled
from intrinsic.surgery.optimizer_internals import has_hooks

if TYPE_CHECKING:
    from intrinsic.projections.kernels.descent import Descend


class Leaves:
    """The weights theta_0 + P z as tensors at which a backward pass ends and leaves its gradients; z is in no graph.

    For a loop that calls `backward` itself and is alone with the model, which holds them for the time:

        with leaves.held():
            for inputs, targets in batches:
                leaves.move()
                loss(leaves.call(inputs), targets).backward()
                leaves.collect()
                ...  # a step of z

    What it saves is autograd's way from the weights to z and the search for them, and nothing is rounded otherwise, but
    where the gradient of a weight comes in parts that are rounded: from re-entrant activation checkpointing, which
    projects each part by itself there, and from autocast of a weight that is used twice.

    Args:
        model: whose parameters have the values theta_0.
        held: the places of these in it.
        projection: P.
        z: the coordinates.

    Attributes:
        weights: by name; whole: all of them, (full_dim,).
    """

    def __init__(self, model: nn.Module, held: Substitution, projection: Projection, z: Tensor) -> None:
        self._model, self._places, self.z = model, held, z
        origin = held.parameters()
        buffer = Buffer(list(origin.values()))
        self.whole = buffer.whole
        self._leaves = [view.detach().requires_grad_() for view in buffer.views]
        self._products = RepeatedProducts(projection, z, list(origin.values()), buffer.whole, buffer.views)
        self.weights = dict(zip(origin, self._leaves, strict=True))

    @staticmethod
    def suit(model: nn.Module, parameters: Sequence[Tensor], z: Tensor) -> bool:
        """Whether z is trained by leaves as by autograd's way to it, the model, its parameters and z as they are now.

        Not with parameters of several dtypes or devices; not if a tracer, a hook or nobody waits for the gradient of z;
        not in autocast, which keeps its casts of leaves from step to step; not with recurrent layers, which move their
        weights to memory of their own on a GPU; not if a module is compiled, for the parameters that it has.
        """
        alike = len({(p.dtype, p.device) for p in parameters}) == 1
        wanted = z.requires_grad and z.is_leaf and not has_hooks(z) and not is_tracing(z)
        plain = not any(isinstance(module, nn.RNNBase) for module in model.modules()) and not is_compiled(model)
        return alike and wanted and plain and not torch.is_autocast_enabled(z.device.type)

    def held(self) -> AbstractContextManager[None]:
        """Have the model hold the weights, for everyone who looks; afterwards it holds theta_0 again."""
        return self._places.hold(self._model, self.weights)

    def move(self) -> None:
        """Write theta_0 + P z into the weights."""
        self._products.displace()

    def call(self, *args: Any) -> Any:
        """What the model returns at the weights."""
        return self._model(*args)

    def descent(self, g: Tensor, state: Sequence[Tensor]) -> "Descend | None":
        """What takes `gradients()` to the next weights, see `RepeatedProducts.descent`; None: not supported."""
        return self._products.descent(g, state)

    def gradients(self) -> list[Tensor] | None:
        """Those that a backward pass has left; None if one is missing, or is not like its weight in memory."""
        found = []
        for leaf in self._leaves:
            grad = leaf.grad
            if type(grad) is not Tensor or not grad.is_contiguous():
                return None
            found.append(grad)
        return found

    def forget_gradients(self) -> None:
        """Let go of them."""
        for leaf in self._leaves:
            leaf.grad = None

    def collect(self) -> None:
        """Add P^T g to z.grad, where g are the gradients that a backward pass has left."""
        pieces, any_grad = [], False
        for leaf in self._leaves:
            grad = leaf.grad
            if grad is None:
                grad = torch.zeros_like(leaf)
            else:
                grad, leaf.grad, any_grad = dense(grad), None, True
            pieces.append(grad)
        if not any_grad:
            return
        g = self._products.multiply(pieces)
        self.z.grad = g if self.z.grad is None else self.z.grad.add_(g)
