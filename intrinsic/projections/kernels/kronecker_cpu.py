"""S (R1 Z R2^T) and R1^T (S G) R2."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from intrinsic.projections.kernels.compile import launch
from intrinsic.projections.kernels.kronecker_adjoint import adjoint
from intrinsic.projections.kernels.kronecker_forward import forward
from intrinsic.projections.kernels.pieces import table

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker


def matvec_pieces(projection: "Kronecker", z: Tensor, origins: Sequence[Tensor], out: Tensor) -> None:
    """out = the origins + P z."""
    launch(forward, z.numpy(), *_matrix(projection), table(origins), table((out,)))


def rmatvec_pieces(projection: "Kronecker", pieces: Sequence[Tensor], out: Tensor) -> None:
    """out = P^T g."""
    launch(adjoint, table(pieces), *_matrix(projection), out.numpy())


def _matrix(projection: "Kronecker") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return projection.left.numpy(), projection.right.numpy(), projection.sign.numpy()
