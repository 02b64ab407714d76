"""The way from gradients to the next weights in one call: `descent` of a module."""

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from torch import Tensor

from intrinsic.projections.kernels.cache import Cache
from intrinsic.projections.kernels.compile import launch
from intrinsic.projections.kernels.on_pieces import Fixed
from intrinsic.projections.kernels.pieces import relocate, table

Descend = Callable[[Sequence[Tensor], tuple[float, float, float, float]], None]


def sequence(function: Callable[..., None]) -> Any:
    """Compile a function that calls kernels one after the other.

    Each file of kernels has its own, of the same three lines: what is kept on disk is named by the file in which a
    function stands, and the kernels that a common one took as arguments would have other names in each process.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    Cache.serve(compiled)
    return compiled


class Descent:
    """g = P^T of gradients in pieces, a step of `adam` by g, out = the origins + P z.

    By function(pieces, fixed_adjoint(projection), g, z, state, numbers, fixed(projection), origins, outs).

    Args:
        function: a `sequence`.
        fixed: what of the arguments of the kernel of P z is the projection's alone.
        fixed_adjoint: the same of P^T g.
    """

    def __init__(self, function: Callable[..., None], fixed: Fixed, fixed_adjoint: Fixed) -> None:
        self._function, self._fixed, self._fixed_adjoint = function, fixed, fixed_adjoint

    def repeated(
        self,
        projection: Any,
        like: Sequence[Tensor],
        g: Tensor,
        z: Tensor,
        state: Sequence[Tensor],
        origins: Sequence[Tensor],
        out: Tensor,
    ) -> Descend:
        """What takes gradients of these sizes and dtypes, and lr, beta1, beta2 and eps, whenever it is called.

        All other tensors stay where they are in memory. `state` is Adam's of z, see `adam`.
        """
        places, numbers = table(like), np.empty(4)
        arguments = (
            self._function,
            places,
            self._fixed_adjoint(projection),
            g.numpy(),
            z.numpy(),
            tuple(part.numpy().reshape(-1) for part in state),
            numbers,
            self._fixed(projection),
            table(origins),
            table((out,)),
        )

        def descend(pieces: Sequence[Tensor], settings: tuple[float, float, float, float]) -> None:
            relocate(places, pieces)
            numbers[0], numbers[1], numbers[2], numbers[3] = settings
            launch(*arguments)

        return descend
