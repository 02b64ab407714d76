"""Long vectors in parts, and what indexes them."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from intrinsic.surgery.torch_internals import copy_all


def tiles(count: int) -> Iterator[slice]:
    """`count` things in slices of a sixteenth, but of 65,536 at least: what is made for one at a time takes little."""
    step = max(1 << 16, -(-count // 16))
    return (slice(low, min(low + step, count)) for low in range(0, count, step))


def copy_pieces(pieces: Sequence[Tensor], out: Tensor) -> None:
    """Write the numbers of several tensors, one after the other, into `out`."""
    targets = zip(out.split([piece.numel() for piece in pieces]), pieces, strict=True)
    copy_all([target.view(piece.shape) for target, piece in targets], list(pieces))


def index_dtype(count: int) -> type[np.int32] | type[np.int64]:
    """The narrowest integer that can index `count` things."""
    return np.int32 if count < 2**31 else np.int64
