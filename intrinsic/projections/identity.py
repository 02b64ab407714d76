"""The identity: all coordinates are trained, d = D."""

from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.projections.base import Projection


class Identity(Projection):
    """P = I: theta = theta_0 + z. Columns have unit norm exactly. Memory: none.

    Raises:
        UserError: unless dim = full_dim.

    Examples:
        >>> import torch, intrinsic
        >>> intrinsic.Identity(3, 3, seed=0)(torch.tensor([1.0, 2.0, 3.0]))
        tensor([1., 2., 3.])
    """

    unit_columns = True

    def __init__(self, dim: int, full_dim: int, *, seed: int) -> None:
        super().__init__(dim, full_dim, seed=seed)
        if dim != full_dim:
            raise UserError(f"projection Identity needs dim = full_dim, got dim={dim}, full_dim={full_dim}")

    @staticmethod
    def plan(dim: int, full_dim: int) -> int:
        """Nothing is stored."""
        return 0

    def matvec(self, z: Tensor) -> Tensor:
        """P z = z: (..., dim) -> (..., full_dim)."""
        return z.clone()

    def rmatvec(self, g: Tensor) -> Tensor:
        """P^T g = g: (..., full_dim) -> (..., dim)."""
        return g.clone()
