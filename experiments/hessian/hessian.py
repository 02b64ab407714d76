"""The Hessian of a loss, as products with vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from intrinsic.tasks.batches import batches
from intrinsic.tasks.task import Split, Task

CHUNK = 500  # examples in memory at once
TEXTS = 16  # the same of inputs that have lengths


class Hessian:
    """H = d^2 L / d theta^2 at a model's weights, L the mean loss over the examples in evaluation mode, without L2.

    H v = d/dt grad L(theta + t v) at t = 0: forward over reverse mode, exact up to rounding, and H is never there.
    Cost of a product: about three times that of a gradient over the examples.

    Args:
        model: at the weights.
        names: of the parameters that theta consists of, in order.
        task: whose loss it is.
        split: the examples.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], task: Task, split: Split) -> None:
        self._model = model.eval().requires_grad_(False)
        self._theta = {name: model.get_parameter(name).detach() for name in names}
        self._sizes = [part.numel() for part in self._theta.values()]
        self._task, self._split = task, split
        self._dtype = next(iter(self._theta.values())).dtype
        self.size = sum(self._sizes)  # D

    def __call__(self, v: Tensor) -> Tensor:
        """H v, (D,) to (D,), of the dtype of v, by products in the model's."""
        parts = v.to(self._dtype).split(self._sizes)
        way = {name: part.view_as(like) for (name, like), part in zip(self._theta.items(), parts, strict=True)}
        lengths = self._split.lengths
        order, size = (None, CHUNK) if lengths is None else (lengths.argsort(stable=True), TEXTS)
        total, seen = torch.zeros_like(v), 0
        for inputs, targets in batches(self._split, order, size):
            inputs, targets = (each.to(self._dtype) if each.is_floating_point() else each for each in (inputs, targets))
            count = len(inputs) if self._task.tokens is None else int(self._task.tokens(targets).sum())
            total += count * self._of_batch(inputs, targets, way)
            seen += count
        return total / seen

    def _of_batch(self, inputs: Tensor, targets: Tensor, way: dict[str, Tensor]) -> Tensor:
        def loss(theta: dict[str, Tensor]) -> Tensor:
            return self._task.loss(functional_call(self._model, theta, (inputs,)), targets)

        with sdpa_kernel(SDPBackend.MATH):  # the other kernels of attention have no second derivative
            product = jvp(grad(loss), (self._theta,), (way,))[1]
        return torch.cat([part.reshape(-1) for part in product.values()])
