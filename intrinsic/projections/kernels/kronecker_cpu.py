"""S (R1 Z R2^T) and R1^T (S G) R2."""

from typing import TYPE_CHECKING, Any

import numpy as np

from intrinsic.projections.kernels.adam import adam
from intrinsic.projections.kernels.descent import Descent, sequence
from intrinsic.projections.kernels.kronecker_adjoint import adjoint
from intrinsic.projections.kernels.kronecker_forward import forward
from intrinsic.projections.kernels.on_pieces import Matvec, Rmatvec

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker


def _matrix(projection: "Kronecker") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return projection.left.numpy(), projection.right.numpy(), projection.sign.numpy()


@sequence
def _descend(
    pieces: Any, fixed_adjoint: Any, g: Any, z: Any, state: Any, numbers: Any, fixed: Any, origins: Any, outs: Any
) -> None:
    adjoint(pieces, *fixed_adjoint, g)
    adam(g, z, state, numbers)
    forward(z, *fixed, origins, outs)


matvec_pieces, rmatvec_pieces = Matvec(forward, _matrix), Rmatvec(adjoint, _matrix)
descent = Descent(_descend, _matrix, _matrix)
