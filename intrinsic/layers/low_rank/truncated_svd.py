"""The largest singular values of a weight."""

import numpy as np
import torch
from torch import Tensor

from intrinsic import rng

_FEW = 4  # ARPACK is faster from so many times as many singular values in all on


def truncated_svd(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """U (m, r), sigma (r,) falling, V (r, n) with U sigma V the nearest matrix of rank r, in float64 on the CPU.

    By ARPACK from a fixed vector for few of them, else by LAPACK. Of each column of U the entry of the largest size is
    positive. The same to rounding on every machine, where the singular values are apart.
    """
    from scipy.linalg import svd
    from scipy.sparse.linalg import svds

    matrix = weight.detach().to("cpu", torch.float64).numpy()
    if _FEW * rank < min(matrix.shape) and matrix.any():
        U, sigma, V = svds(matrix, k=rank, v0=rng.normals(0, min(matrix.shape)))
        order = np.argsort(-sigma)
        U, sigma, V = U[:, order], sigma[order], V[order]
    else:
        U, sigma, V = svd(matrix, full_matrices=False)
        U, sigma, V = U[:, :rank], sigma[:rank], V[:rank]
    signs = np.sign(U[np.abs(U).argmax(0), np.arange(rank)])
    signs[signs == 0] = 1
    return torch.from_numpy(U * signs), torch.from_numpy(sigma.copy()), torch.from_numpy(V * signs[:, None])
