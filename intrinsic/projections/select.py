"""Some weights alone."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor, cat

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.choice import choice
from intrinsic.projections.tiles import copy_pieces


class Select(Projection):
    """Coordinate j is weight i_j itself: (P z)_i = z_j for i = i_j, else 0, so P^T P = I; i_1 < i_2 < ... are random.

    Every choice of dim weights is as likely as any other. Memory: 8 dim bytes, as many again while it is trained. Time:
    O(dim) beside a copy of the weights. Source: Bhardwaj et al. 2024, SHiRA, arXiv:2406.13175, with a random mask, or
    any other by `index`.

    Args:
        index: the weights, dim places in theta, rising; the seed then draws nothing. None: random ones.

    Raises:
        UserError: for an index that is not of dim different places in rising order.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.Select(4, 100, seed=0)
        >>> P(torch.ones(4)).nonzero().flatten().equal(P.index), len(P.index)
        (True, 4)
    """

    index: Tensor  # (dim,) int64, rising

    _kept: tuple[object, list[tuple[int, Tensor]]] | None = None  # the sizes and device, and what is there

    unit_columns = True

    def __init__(self, dim: int, full_dim: int, *, seed: int, index: Sequence[int] | None = None) -> None:
        super().__init__(dim, full_dim, seed=seed)
        self.from_data = index is not None
        if index is None:
            places = choice(rng.fan_out(seed, "choice"), self.dim, full_dim)
        else:
            places = _checked(index, self.dim, full_dim)
        self._store("index", places)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the places."""
        return 8 * dim

    @classmethod
    def peak(cls, dim: int, full_dim: int) -> int:
        """Beside P: what is drawn for the smaller of the weights that are chosen and those that are not."""
        few = min(dim, full_dim - dim)
        return super().peak(dim, full_dim) + 60 * few + (0 if few == dim else full_dim)

    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""
        return z.new_zeros(*z.shape[:-1], self.full_dim).index_copy(-1, self.index, z)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""
        return g.index_select(-1, self.index)

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows: (rows,) -> (dim,)."""
        first, last = np.searchsorted(self.index.cpu().numpy(), (low, low + len(g)))
        out = g.new_zeros(self.dim, dtype=torch.promote_types(g.dtype, torch.float32))
        out[first:last] = g[self.index[first:last] - low]
        return out

    @torch.no_grad()
    def _multiply_plainly(self, pieces: Sequence[Tensor], out: Tensor) -> None:
        """P^T g where g lies in several tensors, of which no more is read than is chosen."""
        out.copy_(self._chosen(pieces, out.dtype))

    @torch.no_grad()
    def _displace_plainly(self, z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
        """out = origins + P z: a copy of the origins, in which dim numbers are written."""
        values = z
        if origins:
            values = self._chosen(origins, z.dtype) + z  # before `out`, which may be the origin
            copy_pieces(origins, out)
        else:
            out.zero_()
        out.index_copy_(0, self.index, values.to(out.dtype))

    def _chosen(self, pieces: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        """The chosen numbers: (dim,)."""
        if len(pieces) == 1:
            return pieces[0].reshape(-1).index_select(0, self.index).to(dtype)
        return cat([
            pieces[number].reshape(-1).index_select(0, index).to(dtype)
            for number, index in self._places(tuple(piece.numel() for piece in pieces))
        ])  # fmt: skip

    def _places(self, sizes: tuple[int, ...]) -> list[tuple[int, Tensor]]:
        """The numbers of the pieces that have chosen weights, and the places of these in each; kept between steps."""
        key = sizes, self.index.device
        if self._kept is None or self._kept[0] != key:
            starts = [0, *accumulate(sizes)]
            bounds = enumerate(pairwise(np.searchsorted(self.index.cpu().numpy(), starts)))
            cut = [(k, self.index[low:high] - starts[k]) for k, (low, high) in bounds if low < high]
            self._kept = key, cut  # at once: other threads read it
        return self._kept[1]


def _checked(index: Sequence[int], dim: int, full_dim: int) -> np.ndarray:
    places = np.asarray(index)
    rising = places.shape == (dim,) and places.dtype.kind == "i" and bool((np.diff(places) > 0).all())
    if not rising or places[0] < 0 or places[-1] >= full_dim:
        raise UserError(f"need index as {dim} rising places in {full_dim} weights, got {index!s:.100}")
    return places.astype(np.int64)
