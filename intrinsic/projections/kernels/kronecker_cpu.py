"""S (R1 Z R2^T) and R1^T (S G) R2."""

from typing import TYPE_CHECKING

import numpy as np

from intrinsic.projections.kernels.kronecker_adjoint import adjoint
from intrinsic.projections.kernels.kronecker_forward import forward
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker


def _matrix(projection: "Kronecker") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return projection.left.numpy(), projection.right.numpy(), projection.sign.numpy()


matvec_pieces, rmatvec_pieces = Matvec(forward, _matrix), Rmatvec(adjoint, _matrix)
