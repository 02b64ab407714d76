"""Some rows of a dense matrix."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.dense import Dense
from intrinsic.projections.row_blocks.row_block import InParts
from intrinsic.projections.row_blocks.window import Window, window

_PART = 1 << 22  # entries at a time, of all


class DenseRows(Window):
    """Rows low ... high - 1 of `Dense`. Drawn alone, and always kept, also where `Dense` draws signs in each product.

    Memory: dim / 8 bytes a row for rademacher, 4 dim for gaussian. See `RowBlock`.
    """

    def __init__(self, dim: int, full_dim: int, low: int, high: int, *, seed: int, entries: str = "rademacher") -> None:
        options: dict[str, Any] = {"entries": entries, "kernels": entries == "rademacher", "drawn": False}
        if entries == "gaussian":
            matrix = np.empty((dim, high - low), dtype=np.float32)
            for j in range(dim):
                matrix[j] = rng.normals(seed, high - low, lane=j, start=low)
            part, before = window(Dense, dim, high - low, seed, {"matrix": matrix}, **options), 0
        else:
            first, last, width = low // 32, -(-high // 32), -(-dim // 32) * 32
            packed = np.zeros((last - first, width), dtype=np.uint32)
            for j in range(dim):
                packed[:, j] = rng.bits(seed, last - first, lane=j, start=first)
            tensors, before = {"packed": packed.view(np.int32)}, low - 32 * first
            part = window(Dense, dim, high - 32 * first, seed, tensors, **options)
            part.nbytes = packed.nbytes
        super().__init__(part, before, high - low, full_dim)

    @staticmethod
    def plan(dim: int, full_dim: int, rows: int, **options: Any) -> int:
        """Bytes of the packed signs, or of the entries."""
        return 4 * dim * rows if options.get("entries") == "gaussian" else dim * rows // 8

    @staticmethod
    def whole(dim: int, full_dim: int, *, seed: int, **options: Any) -> Mapping[str, InParts] | None:
        """Gaussian entries, column after column; signs take half a GB at most, or are in no tensor."""
        if options.get("entries") != "gaussian":
            return None
        places = ((j, low, min(_PART, full_dim - low)) for j in range(dim) for low in range(0, full_dim, _PART))
        parts = (rng.normals(seed, count, lane=j, start=low).astype(np.float32) for j, low, count in places)
        return {"matrix": InParts(np.dtype(np.float32), (dim, full_dim), parts)}
