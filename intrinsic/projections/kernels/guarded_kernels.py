"""Proven kernels, which may still not compile for other sizes than those of the proof."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from intrinsic.projections.base import Projection

_COMPILERS = ("triton", "numba", "llvmlite")
_SAID = ("Triton Error", "PassManager::run failed")  # by Triton's compiler and driver in bare RuntimeErrors


class GuardedKernels:
    """The kernels of a module, outside of autocast; what does not compile is told to `failed` and done by plain torch.

    Args:
        kernels: see `select`.
        failed: called with the error.
    """

    def __init__(self, kernels: ModuleType, failed: Callable[[Exception], None]) -> None:
        self.__name__, self._kernels, self._failed = kernels.__name__, kernels, failed

    def matvec(self, projection: "Projection", z: Tensor, origin: Tensor, out: Tensor) -> None:
        """out = origin + P z; an empty origin means zero."""
        with _full_precision(z):
            try:
                self._kernels.matvec(projection, z, origin, out)
            except Exception as error:
                self._take(error)
                with torch.no_grad():
                    offset = projection.matvec(z)
                    out.copy_(origin + offset if len(origin) else offset)

    def rmatvec(self, projection: "Projection", g: Tensor, out: Tensor) -> None:
        """out = P^T g."""
        with _full_precision(g):
            try:
                self._kernels.rmatvec(projection, g, out)
            except Exception as error:
                self._take(error)
                with torch.no_grad():
                    out.copy_(projection.rmatvec(g))

    def _take(self, error: Exception) -> None:
        """Tell of a compiler's error.

        Raises:
            Exception: the error, if it is another.
        """
        compilers = type(error).__module__.partition(".")[0] in _COMPILERS
        if not compilers and not any(said in str(error) for said in _SAID):
            raise error
        self._failed(error)


def _full_precision(x: Tensor) -> AbstractContextManager[object]:
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
