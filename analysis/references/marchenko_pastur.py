"""The singular values of a random matrix: the null of a spectrum."""

import numpy as np


def marchenko_pastur(shape: tuple[int, int], norm: float) -> np.ndarray:
    """Singular values (min(m, n),) of an m x n Gaussian matrix of Frobenius norm `norm`, in falling order.

    With p = min(m, n), q = max(m, n), lambda = p / q, and v = norm^2 / (m n) the variance of an entry, sigma_j^2 =
    v q x_j, x_j the quantile 1 - (j - 1/2) / p of the density sqrt((b - x)(x - a)) / (2 pi lambda x) on [a, b] =
    [(1 - sqrt(lambda))^2, (1 + sqrt(lambda))^2]. Asymptotic: few values are off by their spacing.
    Source: Marchenko & Pastur 1967, Distribution of eigenvalues for some sets of random matrices.
    """
    p, q = min(shape), max(shape)
    ratio = p / q
    angle = (np.arange(20_000) + 0.5) * np.pi / 20_000  # x = 1 + lambda + 2 sqrt(lambda) cos(angle)
    x = 1 + ratio + 2 * np.sqrt(ratio) * np.cos(angle)
    above = np.cumsum(np.sin(angle) ** 2 / x)  # proportional to the mass between x and b
    found = np.interp((np.arange(p) + 0.5) / p, above / above[-1], x)
    values: np.ndarray = norm * np.sqrt(found / found.sum())
    return values
