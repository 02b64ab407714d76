"""Products of kernels that take vectors in pieces: `matvec_pieces` and `rmatvec_pieces` of a module."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from intrinsic.projections.kernels.compile import launch
from intrinsic.projections.kernels.pieces import relocate, table

Fixed = Callable[[Any], tuple[Any, ...]]


class Matvec:
    """out = the origins + P z, by kernel(z, *fixed(projection), origins, outs).

    Args:
        kernel: compiled.
        fixed: what of the arguments is the projection's alone.
    """

    def __init__(self, kernel: Callable[..., None], fixed: Fixed) -> None:
        self._kernel, self._fixed = kernel, fixed

    def __call__(self, projection: Any, z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
        """Multiply once."""
        self.repeated(projection, z, origins, out)()

    def repeated(self, projection: Any, z: Tensor, origins: Sequence[Tensor], out: Tensor) -> Callable[[], None]:
        """What multiplies whenever it is called, while the tensors stay where they are in memory."""
        return partial(launch, self._kernel, z.numpy(), *self._fixed(projection), table(origins), table((out,)))


class Rmatvec:
    """out = P^T g, g in pieces, by kernel(pieces, *fixed(projection), out).

    Args:
        kernel: compiled.
        fixed: what of the arguments is the projection's alone.
    """

    def __init__(self, kernel: Callable[..., None], fixed: Fixed) -> None:
        self._kernel, self._fixed = kernel, fixed

    def __call__(self, projection: Any, pieces: Sequence[Tensor], out: Tensor) -> None:
        """Multiply once."""
        launch(self._kernel, table(pieces), *self._fixed(projection), out.numpy())

    def repeated(self, projection: Any, like: Sequence[Tensor]) -> Callable[[Sequence[Tensor], Tensor], None]:
        """What multiplies pieces of these sizes and dtypes whenever it is called with some, and with an `out`."""
        kernel, fixed, places = self._kernel, self._fixed(projection), table(like)

        def multiply(pieces: Sequence[Tensor], out: Tensor) -> None:
            relocate(places, pieces)
            launch(kernel, places, *fixed, out.numpy())

        return multiply
