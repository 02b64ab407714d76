"""The products of a training loop, whose tensors stay where they are."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intrinsic.projections.base import Projection

if TYPE_CHECKING:
    from intrinsic.projections.kernels.descent import Descend


class RepeatedProducts:
    """`displace_pieces` and `multiply_pieces` of the same tensors at every step: what they ask of them is asked once.

    The same numbers, bit for bit. Python that is asked for anew between two passes over a model is not in the
    processor's caches, and takes twice as long as in a loop of its own. Only kernels that say how (`repeated` of their
    `matvec_pieces` and `rmatvec_pieces`) gain by it; others are called as ever.

    Args:
        projection: P.
        z: the coordinates, (dim,).
        origins: theta_0 in pieces.
        out: where theta_0 + P z is written, (full_dim,).
        like: tensors of the sizes, dtypes and device of the gradients.
    """

    def __init__(
        self, projection: Projection, z: Tensor, origins: Sequence[Tensor], out: Tensor, like: Sequence[Tensor]
    ) -> None:
        self._projection, self._z, self._origins, self._out, self._like = projection, z, origins, out, like
        self._look()

    def _look(self) -> None:
        projection = self._projection
        plain = self._z.is_contiguous()  # else at no one address, and where it lies is not known at the next step
        self._addresses = self._where()
        self._displace: Callable[[], None] | None = None
        self._multiply: Callable[[Sequence[Tensor], Tensor], None] | None = None
        kernels = projection.selected_kernels(self._z) if plain else None
        if kernels is not None:
            self._displace = kernels.repeated_matvec(projection, self._z.detach(), self._origins, self._out)
            self._multiply = kernels.repeated_rmatvec(projection, self._like, torch.empty_like(self._z))

    def _where(self) -> list[int]:
        """The addresses of what kernels read by address: only what is contiguous is at one."""
        return [part.data_ptr() if part.is_contiguous() else -1 for part in (self._z, *self._origins)]

    def displace(self) -> None:
        """Write theta_0 + P z into `out`."""
        if self._where() != self._addresses:  # some optimisers give a parameter new memory
            self._look()
        if self._displace is None:
            self._projection.displace_pieces(self._z.detach(), self._origins, self._out)
        else:
            self._displace()
            torch.autograd.graph.increment_version(self._out)

    def multiply(self, pieces: Sequence[Tensor]) -> Tensor:
        """P^T g, (dim,), for gradients that may lie in memory in any way."""
        out = torch.empty_like(self._z)
        if self._multiply is None or not self._are_plain(pieces):
            return self._projection.multiply_pieces(pieces, out=out)
        self._multiply(pieces, out)
        return out

    def descent(self, g: Tensor, state: Sequence[Tensor]) -> "Descend | None":
        """What a gradient in pieces and Adam's numbers move z by, and then write `out`; None: not supported.

        Into g goes P^T of the gradient; `state` is Adam's of z. From here on z, theta_0 and `state` must stay where
        they are in memory.
        """
        if not self._z.is_contiguous():
            return None
        kernels, origins = self._projection.selected_kernels(self._z), [origin.detach() for origin in self._origins]
        if kernels is None:
            return None
        return kernels.repeated_descent(self._projection, self._like, g, self._z.detach(), state, origins, self._out)

    def _are_plain(self, pieces: Sequence[Tensor]) -> bool:
        dtype = self._like[0].dtype
        return all(type(piece) is Tensor and piece.dtype == dtype and piece.is_contiguous() for piece in pieces)
