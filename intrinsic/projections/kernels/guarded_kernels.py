"""Proven kernels, which may still not compile for other sizes than those of the proof."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, cat, nn

from intrinsic.projections.kernels.prove_descent import prove_descent

if TYPE_CHECKING:
    from intrinsic.projections.base import Projection
    from intrinsic.projections.kernels.descent import Descend

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_AS_IT_IS = nullcontext()
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
        self._broken = False  # a loop that holds a product does not try at each step to compile it
        self._writes_pieces, self._reads_pieces = (hasattr(kernels, f"{name}matvec_pieces") for name in ("", "r"))
        self._descends: bool | None = None  # not known yet

    def writes(self, projection: "Projection", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> bool:
        """Whether `matvec` takes these arguments."""
        if self._writes_pieces:
            full_dim = projection.full_dim
            return (not origins or _in_reach(origins, z, full_dim)) and _in_reach((out,), z, full_dim)
        return len(origins) <= 1 and all(tensor.dtype == z.dtype for tensor in (*origins, out))

    def reads(self, projection: "Projection", pieces: Sequence[Tensor], out: Tensor) -> bool:
        """Whether `rmatvec` takes these arguments."""
        if self._reads_pieces:
            return _in_reach(pieces, out, projection.full_dim)
        return len(pieces) == 1 and pieces[0].dtype == out.dtype and pieces[0].is_contiguous()

    def matvec(self, projection: "Projection", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
        """out = the origins, one after the other, + P z; without origins, P z."""
        with _full_precision(z):
            try:
                if self._writes_pieces:
                    self._kernels.matvec_pieces(projection, z, origins, out)
                else:
                    self._kernels.matvec(projection, z, origins[0].view(-1) if origins else z[:0], out)
            except Exception as error:
                self._take(error)
                _matvec(projection, z, origins, out)

    def rmatvec(self, projection: "Projection", pieces: Sequence[Tensor], out: Tensor) -> None:
        """out = P^T g, g being the pieces, one after the other."""
        with _full_precision(out):
            try:
                if self._reads_pieces:
                    self._kernels.rmatvec_pieces(projection, pieces, out)
                else:
                    self._kernels.rmatvec(projection, pieces[0].view(-1), out)
            except Exception as error:
                self._take(error)
                _rmatvec(projection, pieces, out)

    def repeated_matvec(
        self, projection: "Projection", z: Tensor, origins: Sequence[Tensor], out: Tensor
    ) -> Callable[[], None] | None:
        """`matvec` of the same tensors whenever it is called, while they stay where they are; None: not supported."""
        repeated = getattr(getattr(self._kernels, "matvec_pieces", None), "repeated", None)
        if repeated is None or not self.writes(projection, z, origins, out):
            return None
        multiply = repeated(projection, z, origins, out)

        def again() -> None:
            if not self._broken:
                try:
                    multiply()
                except Exception as error:
                    self._take(error)
                else:
                    return
            with _full_precision(z):
                _matvec(projection, z, origins, out)

        return again

    def repeated_rmatvec(
        self, projection: "Projection", like: Sequence[Tensor], out: Tensor
    ) -> Callable[[Sequence[Tensor], Tensor], None] | None:
        """`rmatvec` of contiguous pieces of these sizes and dtypes, into an `out` like this; None: not supported."""
        repeated = getattr(getattr(self._kernels, "rmatvec_pieces", None), "repeated", None)
        if repeated is None or not self.reads(projection, like, out):
            return None
        multiply = repeated(projection, like)

        def again(pieces: Sequence[Tensor], out: Tensor) -> None:
            if not self._broken:
                try:
                    multiply(pieces, out)
                except Exception as error:
                    self._take(error)
                else:
                    return
            with _full_precision(out):
                _rmatvec(projection, pieces, out)

        return again

    def descends(self, owner: "type[Projection]", dtype: torch.dtype) -> bool:
        """Whether there is a descent (see `Descent`) of this class, with the bits of torch's Adam."""
        if self._descends is None:
            self._descends = hasattr(self._kernels, "descent")
            try:
                if self._descends:
                    prove_descent(owner, self._kernels, dtype)
            except ArithmeticError:  # torch's bits are another processor's, or those of another version
                self._descends = False
            except Exception as error:
                self._descends = False
                self._take(error)
        return self._descends

    def repeated_descent(
        self,
        projection: "Projection",
        like: Sequence[Tensor],
        g: Tensor,
        z: Tensor,
        state: Sequence[Tensor],
        origins: Sequence[Tensor],
        out: Tensor,
    ) -> "Descend | None":
        """See `Descent.repeated`; None: not supported."""
        fits = self.reads(projection, like, g) and self.writes(projection, z, origins, out)
        if not fits or not self.descends(type(projection), z.dtype):
            return None
        descend: Descend = self._kernels.descent.repeated(projection, like, g, z, state, origins, out)
        return descend

    def _take(self, error: Exception) -> None:
        """Tell of a compiler's error.

        Raises:
            Exception: the error, if it is another.
        """
        compilers = type(error).__module__.partition(".")[0] in _COMPILERS
        if not compilers and not any(said in str(error) for said in _SAID):
            raise error
        self._broken = True
        self._failed(error)


@torch.no_grad()
def _matvec(projection: "Projection", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """`GuardedKernels.matvec` in plain torch."""
    offset = projection.matvec(z)
    out.copy_(_concatenated(origins) + offset if origins else offset)


@torch.no_grad()
def _rmatvec(projection: "Projection", pieces: Sequence[Tensor], out: Tensor) -> None:
    """`GuardedKernels.rmatvec` in plain torch."""
    out.copy_(projection.rmatvec(_concatenated(pieces).to(out.dtype)))


def _in_reach(pieces: Sequence[Tensor], like: Tensor, full_dim: int) -> bool:
    """Whether so many numbers lie where the addresses of these tensors say, for a kernel on the device of `like`."""
    cpu, device, count = like.is_cpu, like.device, 0
    for piece in pieces:
        if type(piece) is not Tensor and type(piece) is not nn.Parameter:
            return False
        if (
            piece.dtype not in _DTYPES
            or not piece.is_contiguous()
            or not (piece.is_cpu if cpu else piece.device == device)
        ):
            return False
        count += piece.numel()
    return count == full_dim


def _concatenated(pieces: Sequence[Tensor]) -> Tensor:
    return cat([piece.reshape(-1) for piece in pieces])


def _full_precision(x: Tensor) -> AbstractContextManager[object]:
    kind = "cpu" if x.is_cpu else x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else _AS_IT_IS
