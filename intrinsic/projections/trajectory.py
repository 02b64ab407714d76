"""The directions that a training took."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.errors import UserError
from intrinsic.files.tensors import read_tensors
from intrinsic.projections.base import SCRATCH, Projection

OFFSETS = "offsets"  # what the file calls theta_t - theta_0
_LEAST = 1e-10  # of the first singular value: below it a direction is rounding


class Trajectory(Projection):
    """Columns are the first dim right singular vectors of theta_t - theta_0 (moments t, full_dim), so that P^T P = I.

    The weights move where a full training has moved them: in the subspace of dim dimensions that holds most of it. The
    file is what `python -m experiments.trajectory` writes of a run. Memory: 4 dim full_dim bytes. Time: O(dim
    full_dim). Source: Li et al. 2021, Low dimensional landscape hypothesis, arXiv:2103.11154, algorithm 1; Larsen et
    al. 2021, lottery subspaces, arXiv:2107.05802, section 4.

    Args:
        file: of `offsets` (moments, full_dim). None: standard normal ones, `dim` of them, drawn from the seed: random
            orthonormal columns, to compare with.

    Raises:
        UserError: if the file is none, of another model, or has fewer than dim directions.

    Examples:
        >>> import torch, intrinsic
        >>> columns = intrinsic.Trajectory(4, 100, seed=0)(torch.eye(4))
        >>> torch.allclose(columns @ columns.T, torch.eye(4), atol=1e-6)
        True
    """

    matrix: Tensor  # (dim, full_dim) float32: P^T

    unit_columns = True
    kernels = False  # a product with a stored matrix is torch's

    def __init__(self, dim: int, full_dim: int, *, seed: int, file: str | None = None) -> None:
        super().__init__(dim, full_dim, seed=seed)
        self.from_data = file is not None
        if file is None:
            offsets = torch.from_numpy(np.stack([rng.normals(seed, full_dim, lane=j) for j in range(self.dim)]))
        else:
            offsets = _offsets(file, full_dim).double()
        values, vectors = torch.linalg.eigh(offsets @ offsets.T)  # rising
        lengths = values.clamp(min=0).sqrt().flip(0)
        found = int((lengths > _LEAST * lengths[0]).sum())
        if found < self.dim:
            raise UserError(f"{file} has {found} directions, got dim={dim}: use dim <= {found}, or more moments")
        turn = vectors.flip(1)[:, : self.dim] / lengths[: self.dim]
        self._store("matrix", (turn.T @ offsets).float())

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Bytes of the directions."""
        return 4 * dim * full_dim

    @classmethod
    def peak(cls, dim: int, full_dim: int) -> int:
        """Beside P: it and dim offsets in float64."""
        return cls.plan(dim, full_dim) + SCRATCH + 24 * dim * full_dim

    def matvec(self, z: Tensor) -> Tensor:
        """P z: (..., dim) -> (..., full_dim)."""
        return z @ self.matrix.to(z.dtype)

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g: (..., full_dim) -> (..., dim)."""
        return g @ self.matrix.to(g.dtype).T

    def multiply_rows(self, g: Tensor, low: int) -> Tensor:
        """P^T g of some rows: (rows,) -> (dim,)."""
        wide = torch.promote_types(g.dtype, torch.float32)
        return self.matrix[:, low : low + len(g)].to(wide) @ g.to(wide)


def _offsets(file: str | Path, full_dim: int) -> Tensor:
    tensors, _ = read_tensors(file)
    offsets = tensors.get(OFFSETS)
    if offsets is None or offsets.ndim != 2 or not offsets.is_floating_point():
        raise UserError(f"{file} is no trajectory: need one that python -m experiments.trajectory wrote")
    if offsets.shape[1] != full_dim:
        raise UserError(f"{file} is of {offsets.shape[1]} weights, and {full_dim} may move here: need the same model")
    if not bool(offsets.isfinite().all()):
        raise UserError(f"{file} has offsets that are not finite: the training diverged")
    return offsets
