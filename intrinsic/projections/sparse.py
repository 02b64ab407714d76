"""A sparse random matrix through torch.sparse."""

import warnings
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from intrinsic import rng
from intrinsic.projections.base import Projection
from intrinsic.projections.device_draws import sparse as device_draw
from intrinsic.projections.tiles import index_dtype, tiles

_DRAWN = 1 << 16  # entries that are drawn at a time: the working set stays in cache


class Sparse(Projection):
    """Entry (i, j) is not zero with probability 1/sqrt(D), and then +-1/sqrt(entries in column j).

    Columns have unit norm exactly; a column that drew no entry gets one. P and P^T are both kept in CSR form, because a
    CSR product with the transposed matrix is an order of magnitude slower. Memory: about 16 dim sqrt(full_dim) +
    4 full_dim bytes. Time: O(dim sqrt(full_dim) + full_dim). Source: Li, Hastie & Church 2006, "Very sparse random
    projections", with the density that Li et al. 2018, arXiv:1804.08838, use.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.Sparse(10, 10_000, seed=0)
        >>> column = P(torch.eye(10)[0])
        >>> bool(50 < column.count_nonzero() < 200), round(float(column.norm()), 4)  # about sqrt(10_000) entries
        (True, 1.0)
    """

    unit_columns = True

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__(dim, full_dim, seed=seed)
        if self._draw_there(device_draw.draw):
            return
        places, counts = _places(seed, self.dim, full_dim)
        dtype = index_dtype(max(len(places), full_dim))
        for j, (low, high) in enumerate(pairwise(np.append(0, counts.cumsum()))):
            places[low:high] -= j * full_dim
        row = places.astype(dtype)
        del places
        values = np.repeat((1 / np.sqrt(counts)).astype(np.float32), counts)
        values *= rng.signs(rng.fan_out(seed, "signs"), len(row))
        start = np.append(0, counts.cumsum()).astype(dtype)
        transposed = csr_matrix((values, row, start), shape=(self.dim, full_dim))
        for name, matrix in (("rows", transposed.T.tocsr()), ("columns", transposed)):
            self._store(f"{name}_start", matrix.indptr.astype(dtype, copy=False))
            self._store(f"{name}_index", matrix.indices.astype(dtype, copy=False))
            self._store(f"{name}_value", matrix.data)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of both CSR forms at the expected number of entries."""
        entries = max(round(dim * full_dim**0.5), dim)
        size = np.dtype(index_dtype(max(entries, full_dim))).itemsize
        return 2 * entries * (size + 4) + size * (dim + full_dim + 2)

    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""
        return self._product("rows", self.full_dim, z)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""
        return self._product("columns", self.dim, g)

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows, entry by entry: (rows,) -> (dim,)."""
        g = g.to(torch.promote_types(g.dtype, torch.float32))
        start, index, value = (getattr(self, f"rows_{part}") for part in ("start", "index", "value"))
        total = g.new_zeros(self.dim)
        for part in tiles(len(g)):
            first = start[low + part.start : low + part.stop + 1].long()
            entries = slice(int(first[0]), int(first[-1]))
            total.index_add_(0, index[entries], g[part].repeat_interleave(first.diff()) * value[entries])
        return total

    def _product(self, name: str, rows: int, x: Tensor) -> Tensor:
        start, index, value = (getattr(self, f"{name}_{part}") for part in ("start", "index", "value"))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
            matrix = torch.sparse_csr_tensor(
                start, index, value.to(x.dtype), (rows, x.shape[-1]), check_invariants=False
            )
        return (matrix @ x.reshape(-1, x.shape[-1]).T).T.reshape(*x.shape[:-1], rows)


def _places(seed: int, dim: int, full_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Where P is not zero, sorted, as column * full_dim + row; and how many there are in each column. int64.

    The gaps between successes of independent trials are geometric, so only the successes are drawn.
    """
    total, density = dim * full_dim, full_dim**-0.5
    block = int(total * density + 8 * (total * density) ** 0.5) + 8
    parts: list[np.ndarray] = []
    last = -1
    while last < total:
        places = np.empty(block, np.int64)
        start = len(parts) * block
        for low in range(0, block, _DRAWN):
            part = places[low : low + _DRAWN]
            uniforms = rng.uniforms(rng.fan_out(seed, "gaps"), len(part), start=start + low)
            with np.errstate(divide="ignore"):  # full_dim = 1: density 1, log 0, every gap 0
                part[:] = np.floor(np.log(uniforms) / np.log1p(-density))
        places += 1
        places.cumsum(out=places)
        places += last
        parts.append(places)
        last = int(places[-1])
    places = parts[0] if len(parts) == 1 else np.concatenate(parts)
    places = places[: places.searchsorted(total)]
    counts = np.diff(places.searchsorted(np.arange(dim + 1) * full_dim))
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        extra = empty * full_dim + rng.keys(rng.fan_out(seed, "empty columns"), len(empty)) % full_dim
        places = np.sort(np.concatenate([places, extra.astype(np.int64)]))
        counts[empty] = 1
    return places, counts
