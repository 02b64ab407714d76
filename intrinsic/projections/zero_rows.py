"""A projection of which some rows are zero: weights that stay what they are."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Self

import torch
from torch import Tensor

from intrinsic.projections.base import Projection
from intrinsic.projections.kernels.select import is_tracing

Stretch = tuple[int, int]  # rows low ... high - 1


def overlaps(stretches: Sequence[Stretch], size: int, start: int) -> list[slice]:
    """Where the rows lie among numbers start, ..., start + size - 1 of a vector."""
    parts = [slice(max(low - start, 0), min(high - start, size)) for low, high in stretches]
    return [part for part in parts if part.start < part.stop]


class WithoutRows(Projection):
    """P with zeros in some of its rows, and its fingerprint: which rows those are follows from the model.

    Args:
        inner: P.
        stretches: of rows, each within one tensor of weights.
    """

    kernels = False  # `inner` has its own

    def __init__(self, inner: Projection, stretches: Sequence[Stretch]) -> None:
        super().__init__(inner.dim, inner.full_dim, seed=inner.seed)
        self._inner, self.stretches = (inner,), list(stretches)  # no child: state dicts have one fingerprint of P
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
        return self._clear(self.inner.matvec(z))

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""
        return self.inner.rmatvec(self._cleared(g))

    def multiply(self, x: Tensor, *, transposed: bool = False) -> Tensor:
        """P x or P^T x by the fastest way, without autograd."""
        if transposed:
            return self.inner.multiply(self._cleared(x), transposed=True)
        return self._clear(self.inner.multiply(x))

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows: (rows,) -> (dim,)."""
        return self.inner.multiply_rows(self._cleared(g, low), low)

    def multiply_pieces(self, pieces: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
        """P^T g, g in pieces. Of one whose rows are not zero already, as those of a padding's gradient are, a copy."""
        cleared, start = [], 0
        for piece in pieces:
            cleared.append(self._cleared(piece.detach().reshape(-1), start))
            start += piece.numel()
        return self.inner.multiply_pieces(cleared, out=out)

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
        """That of P with all of its rows."""
        return self.inner.fingerprint(bits=bits)

    def relocate(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move P to the device to which `fn` moves."""
        self._inner = (self.inner.relocate(fn, recurse),)
        return self

    def _clear(self, x: Tensor, start: int = 0) -> Tensor:
        """Put zeros into the rows of what nobody else has."""
        for part in overlaps(self.stretches, x.shape[-1], start):
            x[..., part] = 0
        return x

    def _cleared(self, x: Tensor, start: int = 0) -> Tensor:
        """Numbers `start`, ... of a vector with zeros in the rows: a copy, but if they are known to be there."""
        looks = x.is_cpu and not is_tracing(x)  # on a GPU a look waits for all that is under way
        parts = overlaps(self.stretches, x.shape[-1], start)
        return self._clear(x.clone(), start) if any(not looks or bool(x[..., part].any()) for part in parts) else x


def _stretch(pieces: Sequence[Tensor], low: int, high: int) -> Tensor:
    """A copy of numbers low ... high - 1 of a vector in pieces, within one of them; without pieces zero."""
    ends = list(accumulate(piece.numel() for piece in pieces))
    for piece, end in zip(pieces, ends, strict=True):
        if high <= end:
            start = end - piece.numel()
            return piece.detach().reshape(-1)[low - start : high - start].clone()
    return torch.zeros(())
