"""Coordinates shared out to tensors."""

from collections.abc import Sequence


def shares(dim: int, sizes: Sequence[int]) -> list[int]:
    """Cut dim into one share per tensor: equal, but none above its tensor's size."""
    found, left = [0] * len(sizes), dim
    smallest_first = sorted(range(len(sizes)), key=lambda k: sizes[k])
    for done, k in enumerate(smallest_first):
        found[k] = min(sizes[k], left // (len(sizes) - done))
        left -= found[k]
    return found
