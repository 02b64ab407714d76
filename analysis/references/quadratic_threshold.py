"""The dimension at which a random subspace of a quadratic reaches a loss, from the spectrum of its Hessian.

L(theta) = L* + (theta - theta*)^T H (theta - theta*) / 2, and delta = theta* - theta_0. Over theta_0 + P z, with P
(D, d) of independent normals, the lowest loss is

    L* + delta^T H^(1/2) (I - Pi) H^(1/2) delta / 2,    Pi the projector on the d columns of H^(1/2) P.

For large d, I - Pi has the mean kappa (H + kappa)^-1, where kappa is such that its trace is right (ridge regression
without a ridge: Bach 2024, arXiv:2303.01372):

    d = sum_i lambda_i / (lambda_i + kappa).                                    (1)

So the loss is epsilon above L* at the d of (1), where kappa delta^T H (H + kappa)^-1 delta = 2 epsilon.   (2)

Larsen et al. 2021 ask for the d at which a random subspace meets the ellipsoid of loss <= epsilon, of half axes
r_i = sqrt(2 epsilon / lambda_i), seen from theta_0 at the distance R: D less the squared Gaussian width of its shadow
on the sphere around theta_0, which is about sum_i r_i^2 / (R^2 + r_i^2):

    d* = sum_i R^2 / (R^2 + r_i^2) = sum_i lambda_i / (lambda_i + 2 epsilon / R^2).

That is (1) at kappa = 2 epsilon / R^2: the solution of (2) if delta lies where lambda_i >> kappa, as
delta^T H (H + kappa)^-1 delta is then |delta|^2 = R^2. It is at most R^2: d* is never below the d of (1) and (2).
Gradient descent moves theta_0 along directions of curvature, and for it the two are near; for a theta_0 that is off
in all D directions alike, d* is several times too large. In both, a direction of lambda_i <= 0 costs nothing.

Source: Larsen, Fort, Becker, Ganguli 2021, How many degrees of freedom do we need to train deep networks: a loss
landscape perspective, arXiv:2107.05802
"""

import numpy as np

WIDEST = 100.0  # of log kappa, to both sides of Larsen's


def effective_dim(values: np.ndarray, weights: np.ndarray, kappa: float) -> float:
    """Equation (1): sum_j w_j lambda_j / (lambda_j + kappa) over lambda_j > 0.

    Args:
        values: (m,) eigenvalues, or nodes of a quadrature.
        weights: (m,) how many eigenvalues each stands for.
        kappa: above 0.
    """
    return _weighted(values, weights, kappa)


def larsen_threshold(values: np.ndarray, weights: np.ndarray, epsilon: float, distance: float) -> float:
    """d* at a loss of epsilon > 0 above the minimum, at the distance R > 0 from theta_0."""
    return effective_dim(values, weights, 2 * epsilon / distance**2)


def quadratic_threshold(
    values: np.ndarray, weights: np.ndarray, moved_values: np.ndarray, moved_weights: np.ndarray, epsilon: float
) -> float:
    """Equations (1) and (2); 0 where theta_0 itself is within epsilon.

    Args:
        values: as for `effective_dim`.
        weights: as for `effective_dim`.
        moved_values: (n,) eigenvalues, or nodes.
        moved_weights: (n,) the share of |delta|^2 that lies in the directions of each.
        epsilon: of the loss, above 0.
    """
    from scipy.optimize import brentq  # slow to import

    positive = moved_values > 0
    if (moved_weights * moved_values)[positive].sum() <= 2 * epsilon:  # the limit of (2) for kappa to infinity
        return 0.0
    middle = np.log(2 * epsilon / moved_weights.sum())

    def beyond(log_kappa: float) -> float:
        return log_kappa + np.log(_weighted(moved_values, moved_weights, np.exp(log_kappa))) - np.log(2 * epsilon)

    return effective_dim(values, weights, float(np.exp(brentq(beyond, middle, middle + WIDEST))))


def _weighted(values: np.ndarray, weights: np.ndarray, kappa: float) -> float:
    positive = values > 0
    return float((weights[positive] * values[positive] / (values[positive] + kappa)).sum())
