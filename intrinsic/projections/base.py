"""The contract of a projection: x = P z, its adjoint, and a fingerprint of P."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import psutil
import torch
from torch import Tensor, cat
from torch.nn.functional import pad

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.projections.device_draws.draw_on import draw_there
from intrinsic.projections.fingerprinted import Fingerprinted
from intrinsic.projections.kernels.guarded_kernels import GuardedKernels
from intrinsic.projections.kernels.select import select
from intrinsic.projections.product import product
from intrinsic.projections.tiles import copy_pieces, tiles

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

SCRATCH = 1 << 23  # bytes of what is drawn at a time, in each thread
MOST_SEED = 2**64 - 1  # the key of its random stream has 64 bits


class Projection(Fingerprinted, ABC):
    """A fixed random matrix P (full_dim, dim) with columns of unit norm, drawn from `seed`.

    A subclass draws P in its constructor, keeps it by `_store`, and says how to multiply by it in plain torch: `matvec`
    and `rmatvec`, the reference for compiled kernels (see `kernels.select`). Both run without autograd; `forward` and
    `adjoint` are their differentiable faces, each the gradient of the other. Leading axes of z and g are replicas.

    Args:
        dim: d, the number of coordinates.
        full_dim: D, the number of weights they move.
        seed: P is a function of (dim, full_dim, seed) and the subclass's own options, on every device.

    Raises:
        UserError: unless 0 < dim <= full_dim and 0 <= seed < 2^64, or if P does not fit into memory.
    """

    dim: int
    full_dim: int
    seed: int
    nbytes: int
    unit_columns = False  # whether every column has norm 1 to rounding, and not in expectation alone
    from_data = False  # whether P is made of more than its seed
    by_shape = False  # whether it is made with the shapes of the tensors of weights, `shapes`
    kernels = True  # whether the compiled kernels that stand beside the class, if any, know its options

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__()
        dim, full_dim = integer("dim", dim), integer("full_dim", full_dim)
        if not 0 < dim <= full_dim:
            raise UserError(f"need 0 < dim <= full_dim, got dim={dim}, full_dim={full_dim}")
        self.dim, self.full_dim, self.seed = dim, full_dim, integer("seed", seed, 0, MOST_SEED)
        self._require(self.plan(self.dim, self.full_dim), self.peak(self.dim, self.full_dim))

    def _require(self, nbytes: int, peak: int) -> None:
        self.nbytes, free = nbytes, psutil.virtual_memory().available
        if peak > free:
            raise UserError(
                f"{type(self).__name__} needs {peak / 1e9:.1f} GB for dim={self.dim}, full_dim={self.full_dim}; "
                f"{free / 1e9:.1f} GB are free: use projection=onehot ({3 * self.full_dim / 1e9:.1g} GB) or a "
                "smaller dim"
            )

    def _draw_there(self, draw: Callable[..., dict[str, Tensor]], *arguments: Any) -> bool:
        """Draw P by `draw(self, device, *arguments)`, if `draw_on` has named a device to draw it on: whether it was."""
        tensors = draw_there(self.full_dim, lambda device: draw(self, device, *arguments))
        for name, tensor in tensors.items():
            if name in self.later:
                vars(self)[name] = tensor
            else:
                self._store(name, tensor)
        return bool(tensors)

    @staticmethod
    @abstractmethod
    def plan(dim: int, full_dim: int) -> int:
        """The bytes that P will occupy, known before anything is allocated."""

    @classmethod
    def peak(cls, dim: int, full_dim: int) -> int:
        """The most bytes that there are while P is drawn, itself included."""
        return cls.plan(dim, full_dim) + SCRATCH

    @abstractmethod
    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""

    @abstractmethod
    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""

    def forward(self, z: Tensor) -> Tensor:
        """Map coordinates (..., dim) to an offset (..., full_dim), differentiably."""
        return product(self, z)

    def adjoint(self, g: Tensor) -> Tensor:
        """Map a gradient (..., full_dim) to coordinates (..., dim), differentiably."""
        return product(self, g, transposed=True)

    def multiply(self, x: Tensor, *, transposed: bool = False) -> Tensor:
        """P x, or P^T x, by the fastest way for its device: without autograd, in float32 at least."""
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # half precision would lose small steps of z
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self.multiply(x, transposed=transposed)
        kernels = self.selected_kernels(x)
        if kernels is None:
            return self.rmatvec(x) if transposed else self.matvec(x)
        x = x.detach()
        out = x.new_empty(*x.shape[:-1], self.dim if transposed else self.full_dim)
        if x.ndim > 1:
            rows, targets = x.reshape(-1, x.shape[-1]).contiguous(), out.view(-1, out.shape[-1])
        else:
            rows, targets = (x.contiguous(),), (out,)  # type: ignore[assignment]
        for row, target in zip(rows, targets, strict=True):
            if transposed:
                kernels.rmatvec(self, (row,), target)
            else:
                kernels.matvec(self, row, (), target)
        return out

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """What the weights from `low` on add to P^T g, without autograd: (rows,) -> (dim,). Here in O(full_dim)."""
        return self.multiply(pad(g, (low, self.full_dim - low - len(g))), transposed=True)

    def _multiply_window(self, g: Tensor, **tensors: Tensor) -> Tensor:
        """P^T g for a P of len(g) rows with other tensors and entries of the same size."""
        part = copy.copy(self)
        vars(part).update(tensors, full_dim=len(g))
        return part.multiply(g, transposed=True) * (len(g) / self.full_dim) ** 0.5

    def multiply_pieces(self, pieces: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
        """P^T g, without autograd, where g lies in several tensors: full_dim numbers of any shapes -> (dim,).

        In the dtype of `out`, which the result is written to, or in that of the pieces together, float32 at least.
        Kernels read the pieces where they lie, in any floating dtype; without kernels they are concatenated.

        Raises:
            ValueError: if there are not full_dim numbers.
        """
        if out is None:
            dtype = torch.float32
            for other in {piece.dtype for piece in pieces}:
                dtype = torch.promote_types(dtype, other)
            out = pieces[0].new_empty(self.dim, dtype=dtype)
        kernels = self.selected_kernels(out)
        if kernels is not None and not kernels.reads(self, pieces, out):
            pieces = [piece.detach().contiguous() for piece in pieces]
            kernels = kernels if kernels.reads(self, pieces, out) else None
        if kernels is None:
            self._count(pieces)
            self._multiply_plainly(pieces, out)
        else:
            kernels.rmatvec(self, pieces, out)
            torch.autograd.graph.increment_version(out)
        return out

    def _multiply_plainly(self, pieces: Sequence[Tensor], out: Tensor) -> None:
        """`multiply_pieces` of what kernels do not read."""
        g = cat([piece.detach().reshape(-1) for piece in pieces], out=out.new_empty(self.full_dim))
        out.copy_(self.multiply(g, transposed=True))

    def displace(self, z: Tensor, origin: Tensor, out: Tensor) -> None:
        """out = origin + P z, written in place: (dim,), (full_dim,), (full_dim,). Without autograd.

        An empty `origin` means zero; it may be `out` itself. `out` may have less precision than z: it is rounded once.
        """
        self.displace_pieces(z, (origin,) if len(origin) else (), out)

    def displace_pieces(self, z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
        """`displace` with the origin in several tensors of any shapes, full_dim numbers in all; one pass with kernels.

        Raises:
            ValueError: if there are not full_dim numbers.
        """
        kernels = self.selected_kernels(z)
        if kernels is not None and kernels.writes(self, z, origins, out):
            kernels.matvec(self, z.detach().contiguous(), origins, out)
            torch.autograd.graph.increment_version(out)
        else:
            if origins:
                self._count(origins)
            self._displace_plainly(z.detach(), [origin.detach() for origin in origins], out)

    def _displace_plainly(self, z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
        """`displace_pieces` of what kernels do not write."""
        if len(origins) > 1:
            copy_pieces(origins, out)
            self.displace(z, out, out)
            return
        origin = origins[0].reshape(-1) if origins else out.new_zeros(1).expand_as(out)
        offset = self.multiply(z)
        for part in tiles(len(out)):  # of other dtypes than out's torch makes copies first
            torch.add(origin[part], offset[part], out=out[part])

    def _count(self, pieces: Sequence[Tensor]) -> None:
        if sum(piece.numel() for piece in pieces) != self.full_dim:
            raise ValueError(f"need {self.full_dim} numbers, got shapes {[tuple(piece.shape) for piece in pieces]}")

    def selected_kernels(self, x: Tensor) -> GuardedKernels | None:
        """The compiled kernels for an argument of this device and dtype, or None: plain torch."""
        return select(type(self), x) if self.kernels else None

    def to_scipy(self) -> "LinearOperator":
        """P, (full_dim, dim), for scipy's solvers: products in float64, on the CPU."""
        from intrinsic.projections.linear_operator import linear_operator

        return linear_operator(self)

    def extra_repr(self) -> str:
        """What `print(projection)` shows inside the parentheses."""
        return f"dim={self.dim}, full_dim={self.full_dim}, seed={self.seed}"
