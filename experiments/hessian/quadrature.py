"""The spectrum of a symmetric operator as one vector sees it: Lanczos and Gauss."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from experiments.terminal.progress import tracked

SMALLEST = 1e-6  # of the largest entry of T: a rest below it is rounding, and the subspace is invariant


def quadrature(
    product: Callable[[Tensor], Tensor], start: Tensor, steps: int, *, beside: Tensor, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes lambda_j and weights w_j (m,) with start^T f(H) start ~= sum_j w_j f(lambda_j), m <= steps.

    m steps of Lanczos give H Q = Q T + a rest, with Q (D, m) orthonormal and T tridiagonal; with T's eigenvectors y_j,
    w_j = |start|^2 y_j[0]^2. Exact for polynomials of degree 2 m - 1, and for every f once the rest is zero.
    Averaged over random starts with covariance I it estimates the trace of f(H): stochastic Lanczos quadrature. Every
    step is made orthogonal to all before, twice, so that no eigenvalue appears again as a ghost. Memory: m vectors.

    Args:
        product: v to H v.
        start: (D,), orthogonal to `beside`.
        steps: at most.
        beside: (k, D) orthonormal eigenvectors that are known; the quadrature is of the rest of the spectrum.
        what: what to call it while it goes on.

    Source: Golub & Welsch 1969; Ubaru, Chen, Saad 2017, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature,
    algorithm 1.
    """
    length = float(start.norm())
    if length == 0:
        return np.zeros(1), np.zeros(1)
    basis = torch.empty(steps, len(start), dtype=start.dtype, device=start.device)
    basis[0] = start / length
    diagonal: list[float] = []
    beside_diagonal: list[float] = []
    for step in tracked(range(steps), what):
        rest = product(basis[step])
        diagonal.append(float(basis[step] @ rest))
        for _ in range(2):
            for known in (beside, basis[: step + 1]):
                rest = rest - known.T @ (known @ rest)
        norm = float(rest.norm())
        if step + 1 == steps or norm <= SMALLEST * max(map(abs, [*diagonal, *beside_diagonal])):
            break
        beside_diagonal.append(norm)
        basis[step + 1] = rest / norm
    nodes, vectors = eigh_tridiagonal(diagonal, beside_diagonal)
    return nodes, length**2 * vectors[0] ** 2
