"""A product of Hadamard matrices, signs, a permutation and a diagonal, block by block."""

from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.hadamard import hadamard
from intrinsic.projections.base import Projection, index_dtype


class Fastfood(Projection):
    """Block b of n = 2^ceil(log2 dim) weights moves by c_b H G_b Pi_b H B_b z, z padded with zeros to length n.

    H is the unnormalised Hadamard matrix, B_b signs, Pi_b a permutation, G_b Gaussian (as in the sources) or signs
    (then P^T P = I up to the last block), c_b = 1 / (sqrt(full_dim) |g_b|). The blocks cover the flat weights, the last
    one is cut. Columns have unit norm exactly if n divides full_dim, else in expectation. Memory: 13 bytes a weight.
    Time: O(full_dim log dim), not O(full_dim log full_dim). Source: Le, Sarlos & Smola 2013; Li et al. 2018,
    arXiv:1804.08838, appendix S7.

    Raises:
        UserError: for other `entries`.
    """

    sign: Tensor  # (blocks, n) int8: B
    gain: Tensor  # (blocks, n) float32: G, each block of unit length
    source: Tensor  # (blocks n,) int32: Pi moves element source[i] to i
    target: Tensor  # (blocks n,) int32: the inverse of source

    def __init__(
        self, dim: int, full_dim: int, *, seed: int, entries: Literal["gaussian", "signs"] = "gaussian"
    ) -> None:
        super().__init__(dim, full_dim, seed=seed)
        if entries not in ("gaussian", "signs"):
            raise UserError(f"need entries=gaussian or entries=signs, got entries={entries}")
        self._shape = blocks, n = _shape(self.dim, full_dim)
        draw = rng.normals if entries == "gaussian" else rng.signs
        gain = draw(rng.fan_out(seed, "gain"), blocks * n).reshape(blocks, n)
        keys = rng.keys(rng.fan_out(seed, "permutation"), blocks * n).reshape(blocks, n)
        local = np.argsort(keys, axis=1, kind="stable")
        offset = n * np.arange(blocks)[:, None]
        source, target = (index + offset for index in (local, np.argsort(local, axis=1)))
        self._store("sign", rng.signs(rng.fan_out(seed, "signs"), blocks * n).reshape(blocks, n))
        self._store("gain", (gain / np.linalg.norm(gain, axis=1, keepdims=True)).astype(np.float32))
        self._store("source", source.reshape(-1).astype(index_dtype(blocks * n)))
        self._store("target", target.reshape(-1).astype(index_dtype(blocks * n)))

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the signs, the diagonal and the permutation both ways."""
        blocks, n = _shape(dim, full_dim)
        return blocks * n * (5 + 2 * np.dtype(index_dtype(blocks * n)).itemsize)

    def matvec(self, z: Tensor) -> Tensor:
        """P z by two Hadamard transforms: (..., dim) -> (..., full_dim)."""
        blocks, n = self._shape
        x = hadamard(pad(z * self.full_dim**-0.5, (0, n - self.dim)).unsqueeze(-2) * self.sign)
        x = x.flatten(-2).index_select(-1, self.source).unflatten(-1, (blocks, n))
        return hadamard(x * self.gain.to(z.dtype)).flatten(-2)[..., : self.full_dim]

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g, the same factors in reverse: (..., full_dim) -> (..., dim)."""
        blocks, n = self._shape
        x = hadamard(pad(g, (0, blocks * n - self.full_dim)).unflatten(-1, (blocks, n)))
        x = (x * self.gain.to(g.dtype)).flatten(-2).index_select(-1, self.target).unflatten(-1, (blocks, n))
        return (hadamard(x) * self.sign).sum(-2)[..., : self.dim] * self.full_dim**-0.5


def _shape(dim: int, full_dim: int) -> tuple[int, int]:
    n = 1 << (dim - 1).bit_length()
    return -(-full_dim // n), n
