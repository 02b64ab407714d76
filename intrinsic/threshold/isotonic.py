"""Isotonic regression, and where it crosses a level."""

import numpy as np

from intrinsic.threshold.reaches import reaches

Array = np.ndarray


def isotonic(y: Array, weights: Array) -> Array:
    """The closest non-decreasing sequences in weighted least squares: m_k = max_{i <= k} min_{j >= k} mean(y_i..y_j).

    Args:
        y: (m, K) values in the order of their x, one row a sequence.
        weights: (K,), all above 0.

    Cost: O(m K^2) time; memory O(m K).
    """
    size = y.shape[1]
    sums = np.concatenate([np.zeros((len(y), 1)), np.cumsum(y * weights, 1)], 1)
    counts = np.concatenate([[0.0], np.cumsum(weights)])
    best = np.full(y.shape, -np.inf)
    for i in range(size):  # means of i..j for every j, then their minimum from the right
        means = (sums[:, i + 1 :] - sums[:, i : i + 1]) / (counts[i + 1 :] - counts[i])
        lowest = np.minimum.accumulate(means[:, ::-1], 1)[:, ::-1]
        np.maximum(best[:, i:], lowest, out=best[:, i:])
    return best


def isotonic_crossings(x: Array, y: Array, targets: Array) -> Array:
    """Where the isotonic fit of each row first reaches its target, in log2 d, linear between dims; -inf, +inf outside.

    Args:
        x: (n,) log2 of the dims, repeats allowed.
        y: (m, n) scores, one row a resample.
        targets: (m,).
    """
    dims, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.zeros((len(y), len(dims)))
    np.add.at(means.T, place, y.T)
    return first_crossings(dims, isotonic(means / counts, counts.astype(float)), targets)


def first_crossings(at: Array, curves: Array, targets: Array) -> Array:
    """The first x at which each curve (m, E) reaches its target (m,), linear between points; -inf, +inf outside."""
    reached = reaches(curves, targets[:, None])
    k = reached.argmax(1)
    row = np.arange(len(curves))
    before = np.maximum(k - 1, 0)
    rise = curves[row, k] - curves[row, before]
    share = np.where(rise > 0, (targets - curves[row, before]) / np.where(rise > 0, rise, 1), 1.0)
    found = at[before] + (at[k] - at[before]) * np.minimum(share, 1.0)
    return np.where(~reached.any(1), np.inf, np.where(k == 0, -np.inf, found))
