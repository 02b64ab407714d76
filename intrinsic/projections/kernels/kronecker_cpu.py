"""S (R1 Z R2^T), row by row."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange
from torch import Tensor
from torch.nn.functional import pad

from intrinsic.projections.kernels.compile import CHUNKS, inner, kernel, launch

if TYPE_CHECKING:
    from intrinsic.projections.kronecker import Kronecker


def matvec(projection: "Kronecker", z: Tensor, origin: Tensor, out: Tensor) -> None:
    """out = origin + P z."""
    left, right = projection.left.to(z.dtype), projection.right.to(z.dtype)
    missing = left.shape[1] * right.shape[1] - projection.dim
    Z = pad(z * projection.full_dim**-0.5, (0, missing)).view(left.shape[1], right.shape[1])
    launch(
        _matvec, (left @ Z).numpy(), right.T.contiguous().numpy(), projection.sign.numpy(), origin.numpy(), out.numpy()
    )


def rmatvec(projection: "Kronecker", g: Tensor, out: Tensor) -> None:
    """out = P^T g."""
    left, right = projection.left.to(g.dtype), projection.right.to(g.dtype)
    products = g.new_empty(left.shape[0], right.shape[1])
    launch(_rmatvec, g.numpy(), right.T.contiguous().numpy(), projection.sign.numpy(), products.numpy())
    out.copy_((left.T @ products).view(-1)[: projection.dim] * projection.full_dim**-0.5)


@inner
def _row(factors: Any, right: Any, sum_: Any) -> None:
    """The sum over k of factors[k] right[k], four at a time."""
    sum_[:] = 0
    count = len(factors) // 4 * 4
    for k in range(0, count, 4):
        a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
        for i in range(len(sum_)):
            sum_[i] += (a * r0[i] + b * r1[i]) + (c * r2[i] + d * r3[i])
    for k in range(count, len(factors)):
        a, r0 = factors[k], right[k]
        for i in range(len(sum_)):
            sum_[i] += a * r0[i]


@kernel
def _matvec(products: Any, right: Any, sign: Any, origin: Any, out: Any) -> None:
    rows, width = len(products), right.shape[1]
    for chunk in prange(CHUNKS):
        sum_ = np.empty(width, out.dtype)
        for row in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            low, high = min(row * width, len(out)), min(row * width + width, len(out))
            _row(products[row], right, sum_)
            part, signs, start = out[low:high], sign[low:high], origin[low:high]
            if len(origin):
                for i in range(len(part)):
                    part[i] = start[i] + sum_[i] * signs[i]
            else:
                for i in range(len(part)):
                    part[i] = sum_[i] * signs[i]


@kernel
def _rmatvec(g: Any, right: Any, sign: Any, products: Any) -> None:
    rows, (count, width) = len(products), right.shape
    for chunk in prange(CHUNKS):
        signed = np.empty(width, g.dtype)
        for row in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            low, high = min(row * width, len(g)), min(row * width + width, len(g))
            part, signs = g[low:high], sign[low:high]
            for i in range(len(part)):
                signed[i] = part[i] * signs[i]
            signed[len(part) :] = 0
            for k in range(count):
                factors, sum_ = right[k], g.dtype.type(0)
                for i in range(width):
                    sum_ += signed[i] * factors[i]
                products[row, k] = sum_
