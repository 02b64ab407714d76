"""A projection of which some rows are zero: weights that stay what they are."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Self

import torch
from torch import Tensor

from intrinsic.projections.base import Projection
from intrinsic.projections.kernels.select import is_tracing

Stretch = tuple[int, int]  # rows low ... high - 1


def cleared(x: Tensor, stretches: Sequence[Stretch], start: int = 0) -> Tensor:
    """Numbers `start`, ... of a vector with zeros in some rows: a copy, but if they are known to be there."""
    looks = x.is_cpu and not is_tracing(x)  # on a GPU a look waits for all that is under way
    parts = [slice(max(low - start, 0), min(high - start, x.shape[-1])) for low, high in stretches]
    parts = [part for part in parts if part.start < part.stop and not (looks and not x[..., part].any())]
    x = x.clone() if parts else x
    for part in parts:
        x[..., part] = 0
    return x


def of_rows_left(fingerprint: str, stretches: Sequence[Stretch]) -> str:
    """That of a P by its fingerprint with all rows, if some are zero."""
    if not stretches:
        return fingerprint
    return hashlib.sha256(f"{fingerprint} zero {list(stretches)}".encode()).hexdigest()[:16]


class WithoutRows(Projection):
    """P with zeros in some of its rows.

    Args:
        inner: P.
        stretches: of rows, each within one tensor of weights. The list itself is kept: it is emptied when a state dict
            is loaded that is of P with all of its rows, as those of older versions are.
    """

    kernels = False  # `inner` has its own

    def __init__(self, inner: Projection, stretches: list[Stretch]) -> None:
        super().__init__(inner.dim, inner.full_dim, seed=inner.seed)
        self._inner, self.stretches = (inner,), stretches  # no child: state dicts have one fingerprint of P
        self.nbytes, self.from_data, self.drawn = inner.nbytes, inner.from_data, inner.drawn

    @property
    def inner(self) -> Projection:
        """P with all of its rows."""
        return self._inner[0]

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Nothing of its own."""
        return 0

    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""
        return cleared(self.inner.matvec(z), self.stretches)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""
        return self.inner.rmatvec(cleared(g, self.stretches))

    def multiply(self, x: Tensor, *, transposed: bool = False) -> Tensor:
        """P x or P^T x by the fastest way, without autograd."""
        if transposed:
            return self.inner.multiply(cleared(x, self.stretches), transposed=True)
        return cleared(self.inner.multiply(x), self.stretches)

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows: (rows,) -> (dim,)."""
        return self.inner.multiply_rows(cleared(g, self.stretches, low), low)

    def multiply_pieces(self, pieces: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
        """P^T g, g in pieces. Of one whose rows are not zero already, as those of a padding's gradient are, a copy."""
        parts, start = [], 0
        for piece in pieces:
            parts.append(cleared(piece.detach().reshape(-1), self.stretches, start))
            start += piece.numel()
        return self.inner.multiply_pieces(parts, out=out)

    def displace_pieces(self, z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
        """out = the origins + P z, which may be the same memory."""
        stays = [_stretch(origins, *bounds) for bounds in self.stretches]
        self.inner.displace_pieces(z, origins, out)
        for (low, high), part in zip(self.stretches, stays, strict=True):
            out[low:high] = part

    def fixed_tensors(self) -> dict[str, Tensor]:
        """Those of P."""
        return self.inner.fixed_tensors()

    def fingerprint(self, *, bits: bool = True) -> str:
        """A hash of P and of which rows are zero; `bits=False`: that of older versions, which had none."""
        return of_rows_left(self.inner.fingerprint(), self.stretches if bits else [])

    def set_extra_state(self, state: Tensor) -> None:
        """Compare the fingerprint of a state dict, and have the rows that it says."""
        super().set_extra_state(state)
        if bytes(state.tolist()).hex() != self.fingerprint():
            self.stretches.clear()

    def extra_repr(self) -> str:
        """P, and how many rows are zero."""
        return f"{self.inner}, zero_rows={sum(high - low for low, high in self.stretches)}"

    def relocate(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move P to the device to which `fn` moves."""
        self._inner = (self.inner.relocate(fn, recurse),)
        return self


def _stretch(pieces: Sequence[Tensor], low: int, high: int) -> Tensor:
    """A copy of numbers low ... high - 1 of a vector in pieces, within one of them; without pieces zero."""
    ends = list(accumulate(piece.numel() for piece in pieces))
    for piece, end in zip(pieces, ends, strict=True):
        if high <= end:
            start = end - piece.numel()
            return piece.detach().reshape(-1)[low - start : high - start].clone()
    return torch.zeros(())
