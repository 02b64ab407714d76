"""The rows of P that one process of several holds."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate
from typing import Any, cast

from torch import Tensor, nn

from intrinsic import rng
from intrinsic.checks import check_memory
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.block_diagonal import BlockDiagonal
from intrinsic.projections.fixed_tensors import FixedTensors
from intrinsic.projections.granularity import Granularity
from intrinsic.projections.row_blocks.fingerprint_of_rows import of_parts, of_tensors
from intrinsic.projections.row_blocks.row_block import RowBlock
from intrinsic.projections.row_blocks.window import Window
from intrinsic.projections.shares import shares
from intrinsic.projections.stacked import Stacked
from intrinsic.projections.zero_rows import Stretch, cleared, of_rows_left

Bounds = tuple[int, int]  # of a tensor's weights: low and high, counted in the tensor


class RowBlocks(FixedTensors):
    """Of each tensor a stretch of rows of P (full_dim, dim): the same P, to the bit, as `granularity.draw` has.

    Rows are drawn alone where a class has a file for it, `row_blocks/<its file>_rows.py` beside its own with a
    `RowBlock` called `<its name>Rows`. Others are drawn whole, and kept.

    Args:
        make: a projection class, or a partial of one.
        dim: d, the number of coordinates.
        sizes: the number of weights of each tensor.
        bounds: which weights of each tensor the rows are of.
        granularity: of P.
        seed: P is a function of make, dim, sizes, granularity and seed, whatever the bounds.
        zero: stretches of rows that are zero, each within a tensor (see `WithoutRows`).

    Raises:
        UserError: unless 0 < dim <= full_dim, if `make` refuses the sizes, or if the rows do not fit into memory.
    """

    blocks: nn.ModuleList

    def __init__(
        self,
        make: Callable[..., Projection],
        dim: int,
        sizes: Sequence[int],
        bounds: Sequence[Bounds],
        *,
        granularity: Granularity,
        seed: int,
        zero: list[Stretch] | None = None,
    ) -> None:
        super().__init__()
        self.dim, self.full_dim, self.seed = dim, sum(sizes), seed
        self._zero = [] if zero is None else zero
        pairs = zip(accumulate(sizes), sizes, bounds, strict=True)
        self._starts = [end - size + low for end, size, (low, _) in pairs]  # of the weights of each tensor in all
        if not 0 < dim <= self.full_dim:
            raise UserError(f"need 0 < dim <= full_dim, got dim={dim}, full_dim={self.full_dim}")
        self._hash = partial(_hash_whole, make, dim, self.full_dim, seed)
        self._columns, self._scales = [slice(0, dim)] * len(sizes), [1.0] * len(sizes)
        held = [k for k, (low, high) in enumerate(bounds) if low < high]
        seeds = [rng.fan_out(seed, "tensor", k) for k in range(len(sizes))]
        if granularity == "global":
            ends = list(accumulate(sizes))
            places = [(ends[k] - sizes[k] + bounds[k][0], ends[k] - sizes[k] + bounds[k][1]) for k in held]
            blocks = _draw(make, dim, self.full_dim, places, seed)
        elif granularity == "tensor":
            heights = [max(size, dim) for size in sizes]
            self._scales = [(height / size) ** 0.5 for height, size in zip(heights, sizes, strict=True)]
            makes = [partial(make, dim, heights[k], seed=seeds[k]) for k in range(len(sizes))]
            self._hash = partial(of_parts, Stacked, dim, self.full_dim, makes)
            blocks = [block for k in held for block in _draw(make, dim, heights[k], [bounds[k]], seeds[k])]
        elif granularity == "block":
            if dim < len(sizes):
                raise UserError(f"granularity=block needs a coordinate for each of {len(sizes)} tensors, got dim={dim}")
            dims = shares(dim, sizes)
            self._columns = [slice(end - share, end) for share, end in zip(dims, accumulate(dims), strict=True)]
            makes = [partial(make, dims[k], sizes[k], seed=seeds[k]) for k in range(len(sizes))]
            self._hash = partial(of_parts, BlockDiagonal, dim, self.full_dim, makes)
            blocks = [block for k in held for block in _draw(make, dims[k], sizes[k], [bounds[k]], seeds[k])]
        else:
            raise UserError(f"need granularity=global, tensor or block, got granularity={granularity}")
        self.blocks = nn.ModuleList(blocks)  # of the tensors of which there is a row at all
        self._numbers = {held[number]: number for number in range(len(held))}

    @property
    def nbytes(self) -> int:
        """What they hold."""
        return sum(tensor.nbytes for tensor in self.fixed_tensors().values())

    def multiply(self, z: Tensor, index: int) -> Tensor:
        """P z in the rows of one tensor, by its number: (dim,) -> (rows,). Without autograd."""
        if index not in self._numbers:
            return z.new_empty(0)
        found = self._block(index).multiply(z[self._columns[index]]) * self._scales[index]
        return cleared(found, self._zero, self._starts[index])

    def pull_back(self, g: Tensor, index: int, total: Tensor) -> None:
        """Add what the rows of one tensor, by its number, add to P^T g: (rows,), to (dim,). Without autograd."""
        if index in self._numbers:
            g = cleared(g, self._zero, self._starts[index])
            total[self._columns[index]] += self._block(index).pull_back(g) * self._scales[index]

    def fingerprint(self, *, bits: bool = True) -> str:
        """That of all of P, which is drawn for it: in parts, where its class says how, or matrix by matrix."""
        return of_rows_left(self._hash(bits=bits or bool(self._zero)), self._zero if bits else [])

    def _block(self, index: int) -> RowBlock:
        return cast(RowBlock, self.blocks[self._numbers[index]])


def _draw(make: Callable[..., Projection], dim: int, full_dim: int, places: list[Bounds], seed: int) -> list[RowBlock]:
    kind: Any = getattr(make, "func", make)
    rows = _rows(kind)
    if rows is not None:
        make(1, 1, seed=0)  # refuses options that it does not know
        options = make.keywords if isinstance(make, partial) else {}
        held = sum(high - low for low, high in places)
        needed = rows.plan(dim, full_dim, held, **options)
        check_memory(needed, f"{kind.__name__} of dim={dim} for {held} of {full_dim} weights")
        return rows.draw(dim, full_dim, places, seed=seed, **options)
    whole = make(dim, full_dim, seed=seed)
    return [Window(whole, low, high - low, full_dim) for low, high in places]


def _hash_whole(make: Callable[..., Projection], dim: int, full_dim: int, seed: int, *, bits: bool) -> str:
    kind: Any = getattr(make, "func", make)
    rows, options = _rows(kind), make.keywords if isinstance(make, partial) else {}
    tensors = None if rows is None else rows.whole(dim, full_dim, seed=seed, **options)
    if tensors is None:
        return make(dim, full_dim, seed=seed).fingerprint(bits=bits)
    return of_tensors(kind, dim, full_dim, tensors)


def _rows(kind: Any) -> type[RowBlock] | None:
    if not isinstance(kind, type):
        return None
    package, _, name = kind.__module__.rpartition(".")
    if not package or find_spec(f"{package}.row_blocks") is None:
        return None
    module = f"{package}.row_blocks.{name}_rows"
    return getattr(import_module(module), f"{kind.__name__}Rows", None) if find_spec(module) is not None else None
