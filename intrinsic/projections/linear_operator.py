"""P for scipy's solvers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator

if TYPE_CHECKING:
    from intrinsic.projections.base import Projection


def linear_operator(projection: "Projection") -> LinearOperator:
    """P, (full_dim, dim), by its products in float64 on the CPU."""

    def by(*, transposed: bool) -> Callable[[np.ndarray], np.ndarray]:
        def product(x: np.ndarray) -> np.ndarray:
            return projection.multiply(torch.tensor(x.ravel(), dtype=torch.double), transposed=transposed).numpy()

        return product

    shape = (projection.full_dim, projection.dim)
    return LinearOperator(shape, matvec=by(transposed=False), rmatvec=by(transposed=True), dtype=np.float64)
