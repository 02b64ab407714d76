"""A product of Hadamard matrices, signs, a permutation and a diagonal, block by block."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.projections.base import Projection
from intrinsic.projections.device_draws import fastfood as device_draw
from intrinsic.projections.hadamard import hadamard
from intrinsic.projections.kernels.draws import draws

_DRAWN = 1 << 18  # weights for which random numbers are drawn at a time


class Fastfood(Projection):
    """Block b of n = 2^ceil(log2 dim) weights moves by c_b H G_b Pi_b H B_b z, z padded with zeros to length n.

    H is the unnormalised Hadamard matrix, B_b signs, Pi_b a permutation, G_b Gaussian (as in the sources) or signs
    (then P^T P = I up to the last block), c_b = 1 / (sqrt(full_dim) |g_b|). The blocks cover the flat weights, the last
    one is cut. Columns have unit norm exactly if n divides full_dim, else in expectation. Memory: 7 bytes a weight, 9
    for dim > 65,536. Time: O(full_dim log dim), not O(full_dim log full_dim). Source: Le, Sarlos & Smola 2013; Li et
    al. 2018, arXiv:1804.08838, appendix S7.

    Raises:
        UserError: for other `entries`.

    Examples:
        >>> import torch, intrinsic
        >>> P = intrinsic.Fastfood(5, 64, seed=0)
        >>> P(torch.zeros(5)).shape, P.adjoint(torch.zeros(64)).shape, P.nbytes
        (torch.Size([64]), torch.Size([5]), 448)
    """

    sign: Tensor  # (blocks, n) int8: B
    gain: Tensor  # (blocks, n) float32: G, each block of unit length
    source: Tensor  # (blocks, n) int16, of which the 16 bits count, or int32: Pi_b moves element source[b, i] to i

    def __init__(
        self, dim: int, full_dim: int, *, seed: int, entries: Literal["gaussian", "signs"] = "gaussian"
    ) -> None:
        super().__init__(dim, full_dim, seed=seed)
        if entries not in ("gaussian", "signs"):
            raise UserError(f"need entries=gaussian or entries=signs, got entries={entries}")
        blocks, n = shape_of(self.dim, full_dim)
        self.unit_columns = full_dim % n == 0
        if self._draw_there(device_draw.draw, (blocks, n), _index_dtype(n), entries == "gaussian"):
            return
        for name, array in draw_blocks(n, 0, blocks, seed=seed, entries=entries).items():
            self._store(name, array)

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the signs, the diagonal and the permutation."""
        blocks, n = shape_of(dim, full_dim)
        return blocks * n * (5 + np.dtype(_index_dtype(n)).itemsize)

    def matvec(self, z: Tensor) -> Tensor:
        """P z by two Hadamard transforms: (..., dim) -> (..., full_dim)."""
        x = hadamard(pad(z * self.full_dim**-0.5, (0, self.sign.shape[1] - self.dim)).unsqueeze(-2) * self.sign)
        x = x.gather(-1, self._index(x)) * self.gain.to(z.dtype)
        return hadamard(x).flatten(-2)[..., : self.full_dim]

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g, the same factors in reverse: (..., full_dim) -> (..., dim)."""
        x = hadamard(pad(g, (0, self.sign.numel() - self.full_dim)).unflatten(-1, self.sign.shape))
        x = torch.zeros_like(x).scatter(-1, self._index(x), x * self.gain.to(g.dtype))
        return (hadamard(x) * self.sign).sum(-2)[..., : self.dim] * self.full_dim**-0.5

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows, by the blocks that they lie in: (rows,) -> (dim,)."""
        n = self.sign.shape[1]
        first, last = low // n, -(-(low + len(g)) // n)
        parts = {name: getattr(self, name)[first:last] for name in ("sign", "gain", "source")}
        return self._multiply_window(pad(g, (low - first * n, 0)), **parts)

    def _index(self, like: Tensor) -> Tensor:
        source = self.source.long()
        return (source & 0xFFFF if self.source.itemsize == 2 else source).expand_as(like)


def draw_blocks(n: int, first: int, last: int, *, seed: int, entries: str) -> dict[str, np.ndarray]:
    """Blocks first ... last - 1 of the three tensors, by name: (last - first, n)."""
    shape = last - first, n
    sign, gain, source = np.empty(shape, np.int8), np.empty(shape, np.float32), np.empty(shape, _index_dtype(n))
    seeds = [rng.fan_out(seed, purpose) for purpose in ("signs", "gain", "permutation")]
    compiled = draws("blocks", sign.size) if first * n % 128 == 0 else None
    if compiled is None:
        _draw(seeds, entries, sign, gain, source, first)
    else:
        compiled.blocks(seeds, entries == "gaussian", sign, gain, source, first=first)
    return {"sign": sign, "gain": gain, "source": source.view(f"i{source.itemsize}")}


def _draw(seeds: list[int], entries: str, sign: np.ndarray, gain: np.ndarray, source: np.ndarray, first: int) -> None:
    """Fill the arrays, a part at a time: what is drawn is larger than what is kept."""
    (blocks, n), draw = sign.shape, rng.normals if entries == "gaussian" else rng.signs
    for low in range(0, blocks, max(1, _DRAWN // n)):
        part = slice(low, min(low + max(1, _DRAWN // n), blocks))
        start, count, shape = (first + low) * n, (part.stop - low) * n, (part.stop - low, n)
        sign[part] = rng.signs(seeds[0], count, start=start).reshape(shape)
        gain_ = draw(seeds[1], count, start=start).reshape(shape)
        gain[part] = gain_ / np.linalg.norm(gain_, axis=1, keepdims=True)
        source[part] = rng.keys(seeds[2], count, start=start).reshape(shape).argsort(axis=1, kind="stable")


def shape_of(dim: int, full_dim: int) -> tuple[int, int]:
    """How many blocks there are, and how many weights in each."""
    n = 1 << (dim - 1).bit_length()
    return -(-full_dim // n), n


def _index_dtype(n: int) -> type[np.uint16] | type[np.uint32]:
    return np.uint16 if n <= 1 << 16 else np.uint32
