"""A matrix of independent random entries."""

import hashlib
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, cat
from torch.nn.functional import pad

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.base import SCRATCH, Projection
from intrinsic.projections.device_draws import dense as device_draw
from intrinsic.projections.kernels.draws import draws
from intrinsic.projections.kernels.on_threads import on_threads

STORED = 1 << 29  # bytes of signs above which they are drawn anew in each product
_TILE = 1 << 22  # entries that the plain product unpacks at a time
_DRAWN = 1 << 16  # Gaussian entries that a thread draws at a time
_PROBES = 8  # columns that enter the fingerprint
Entries = Literal["rademacher", "gaussian"]


class Dense(Projection):
    """Independent entries: P_ij = +-1/sqrt(D) (rademacher) or N(0, 1/D) (gaussian).

    Columns have unit norm exactly for rademacher, in expectation for gaussian. Memory: dim full_dim / 8 bytes for
    rademacher, one bit an entry, or none where that is above half a GB: the signs are then drawn from their stream
    while they are used. 4 dim full_dim bytes for gaussian. Time: O(dim full_dim). Source: Li et al. 2018,
    arXiv:1804.08838, section 2, who normalise Gaussian columns.

    Raises:
        UserError: for other `entries`.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.Dense(2, 16, seed=0)
        >>> P(torch.tensor([1.0, 0.0])).abs().unique()  # 1 / sqrt(16)
        tensor([0.2500])
    """

    packed: (
        Tensor  # (ceil(full_dim / 32), dim rounded up to 32) int32: bit r of word (i, j) is the sign of P[32 i + r, j]
    )
    matrix: Tensor  # (dim, full_dim) float32: sqrt(full_dim) P^T

    def __init__(self, dim: int, full_dim: int, *, seed: int, entries: Entries = "rademacher") -> None:
        super().__init__(dim, full_dim, seed=seed)
        if entries not in ("rademacher", "gaussian"):
            raise UserError(f"need entries=rademacher or entries=gaussian, got entries={entries}")
        self.entries, self.kernels = entries, entries == "rademacher"
        self.unit_columns = entries == "rademacher"
        self.drawn = entries == "rademacher" and not self.nbytes
        if entries == "gaussian":
            self._require(4 * self.dim * full_dim, 4 * self.dim * full_dim + SCRATCH)
        if self.drawn or self._draw_there(device_draw.draw, _width(self.dim)):
            return
        if entries == "gaussian":
            matrix = np.empty((self.dim, full_dim), dtype=np.float32)
            normals = getattr(draws("streams", self.dim * full_dim), "normals", rng.normals)

            def draw(place: tuple[int, int]) -> None:
                j, low = place
                part = matrix[j, low : low + _DRAWN]
                part[:] = normals(self.seed, len(part), lane=j, start=low)

            on_threads(draw, [(j, low) for j in range(self.dim) for low in range(0, full_dim, _DRAWN)])
            self._store("matrix", matrix)
        else:
            self._store("packed", self._draw(0, -(-full_dim // 32)))

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the packed signs, 0 if they are not stored."""
        packed = 4 * -(-full_dim // 32) * _width(dim)
        return packed if packed <= STORED else 0

    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""
        z = z * self.full_dim**-0.5
        return cat([z @ columns.T for columns in self._tiles(z)], -1)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""
        total, start = g.new_zeros(*g.shape[:-1], self.dim), 0
        for columns in self._tiles(g):
            total = total + g[..., start : start + len(columns)] @ columns
            start += len(columns)
        return total * self.full_dim**-0.5

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows, if P is stored: (rows,) -> (dim,)."""
        high, first = low + len(g), low // 32
        if self.entries == "gaussian":
            return self._multiply_window(g, matrix=self.matrix[:, low:high])
        if not self.nbytes:
            return super().multiply_rows(g, low)
        return self._multiply_window(pad(g, (low - 32 * first, 0)), packed=self.packed[first : -(-high // 32)])

    def _tiles(self, like: Tensor) -> Iterator[Tensor]:
        """sqrt(full_dim) P, cut into tiles of consecutive rows."""
        if self.entries == "gaussian":
            yield self.matrix.to(like.dtype).T
            return
        shifts = torch.arange(32, dtype=torch.int32, device=like.device)[:, None]
        height, count = max(1, _TILE // 32 // self.dim), -(-self.full_dim // 32)
        for low in range(0, count, height):
            high = min(low + height, count)
            packed = self.packed[low:high] if self.nbytes else torch.from_numpy(self._draw(low, high)).to(like.device)
            signs = (packed[:, None] >> shifts & 1).flatten(0, 1)[: self.full_dim - 32 * low, : self.dim]
            yield 2 * signs.to(like.dtype) - 1

    def _draw(self, low: int, high: int) -> np.ndarray:
        """Rows low ... high - 1 of the packed signs."""
        packed, compiled = (
            np.zeros((high - low, _width(self.dim)), dtype=np.uint32),
            draws("lanes", self.dim * (high - low)),
        )
        if compiled is not None:
            compiled.lanes(self.seed, self.dim, low, packed)
        for j in range(self.dim if compiled is None else 0):
            packed[:, j] = rng.bits(self.seed, high - low, lane=j, start=low)
        return packed.view(np.int32)

    def _hash(self, bits: bool) -> str:
        """Of signs that are not stored, and of older versions: over the seed and the start of some columns."""
        if self.entries == "gaussian" or (bits and not self.drawn) or not self._is_of_its_seed():
            return super()._hash(bits)
        digest = hashlib.sha256(f"{self.stable_name} {self.dim} {self.full_dim} {self.seed}".encode())
        for j in np.linspace(0, self.dim - 1, _PROBES).astype(int):
            digest.update(rng.signs(self.seed, min(self.full_dim, 4096), lane=int(j)).tobytes())
        return digest.hexdigest()[:16]

    def _is_of_its_seed(self) -> bool:
        return self.drawn or np.array_equal(self.packed.cpu().numpy(), self._draw(0, len(self.packed)))


def _width(dim: int) -> int:
    return -(-dim // 32) * 32
