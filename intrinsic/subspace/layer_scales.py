"""One learned scale for each layer's offset."""

from collections.abc import Sequence

import torch
from torch import Tensor

from intrinsic.errors import UserError


def layers_of(names: Sequence[str], *, scales: str | None, dim: int, full_dim: int) -> list[int]:
    """The layer of each tensor, counted from 0: a layer is a module that owns tensors. Empty without scales.

    Raises:
        UserError: for other scales than "layer" and None, or if the layers leave no coordinate of `dim`.
    """
    if scales is None:
        return []
    if scales != "layer":
        raise UserError(f"need scales=layer or none, got scales={scales}")
    layers = [name.rpartition(".")[0] for name in names]
    distinct = list(dict.fromkeys(layers))
    if not len(distinct) < dim < full_dim:
        raise UserError(
            f"scales=layer takes {len(distinct)} of dim: need {len(distinct)} < dim < {full_dim}, got dim={dim}"
        )
    return [distinct.index(layer) for layer in layers]


class Scales:
    """theta = theta_0 + lambda * offset with one lambda for each layer, and what gradients pass through.

    Args:
        layers: of each tensor.
        sizes: the number of weights of each tensor.
    """

    def __init__(self, layers: Sequence[int], sizes: Sequence[int]) -> None:
        self.layers, self._sizes = list(layers), list(sizes)

    def displace(self, lambdas: Tensor, offset: Tensor, origin: Sequence[Tensor], out: Sequence[Tensor]) -> None:
        """out = origin + lambda * offset, written in place: (layers,), (full_dim,), tensors. Without autograd."""
        for layer, moved, start, target in zip(self.layers, offset.split(self._sizes), origin, out, strict=True):
            torch.addcmul(start.detach(), moved.view_as(start), lambdas[layer], out=target)

    def pull_back(self, lambdas: Tensor, offset: Tensor, g: Tensor) -> Tensor:
        """Turn the gradient of theta into that of offset, in place; return that of lambda. Without autograd."""
        found = torch.zeros_like(lambdas)
        for layer, moved, piece in zip(self.layers, offset.split(self._sizes), g.split(self._sizes), strict=True):
            found[layer] += piece.dot(moved)
            piece.mul_(lambdas[layer])
        return found

    def spread(self, lambdas: Tensor) -> Tensor:
        """lambda for each weight, differentiably: (layers,) -> (full_dim,)."""
        return torch.cat([lambdas[layer].expand(size) for layer, size in zip(self.layers, self._sizes, strict=True)])

    def gather(self, values: Tensor) -> Tensor:
        """The sum over each layer's weights, differentiably, the adjoint of `spread`: (full_dim,) -> (layers,)."""
        sums = torch.stack([piece.sum() for piece in values.split(self._sizes)])
        layers = torch.tensor(self.layers, device=values.device)
        return values.new_zeros(max(self.layers) + 1).index_add(0, layers, sums)
