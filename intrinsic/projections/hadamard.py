"""The Walsh-Hadamard transform."""

import torch
from torch import Tensor

_LARGEST_FACTOR_BITS = 6  # 64 x 64 factors: small enough for the cache, large enough for the matrix product to pay


def hadamard(x: Tensor) -> Tensor:
    """H x along the last axis, H the unnormalised Sylvester-Hadamard matrix, so that H H = n I.

    (..., n) -> (..., n), n a power of two. H is a Kronecker product of small Hadamard matrices, and each factor is one
    matrix product over an axis of its own: O(n log n) multiplications for factors of fixed size. Differentiable.
    """
    n = x.shape[-1]
    if n & (n - 1) or n == 0:
        raise ValueError(f"need a power of two along the last axis, got {n}")
    shape, remaining = x.shape, n.bit_length() - 1
    while remaining:
        bits = -(-remaining // -(-remaining // _LARGEST_FACTOR_BITS))
        remaining -= bits
        H = _matrix(1 << bits, x.dtype, x.device)
        # the factor acts on the digits above the `remaining` lowest ones: (..., factor, rest)
        x = H @ x.reshape(-1, 1 << bits, 1 << remaining) if remaining else x.reshape(-1, 1 << bits) @ H
    return x.reshape(shape)


_matrices: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}


def _matrix(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    key = n, dtype, device
    if key in _matrices:
        return _matrices[key]
    H = torch.ones(1, 1, dtype=dtype, device=device)
    while H.shape[0] < n:
        H = torch.cat([torch.cat([H, H], 1), torch.cat([H, -H], 1)], 0)
    if type(H) is Tensor:  # not a tracer's stand-in
        _matrices[key] = H
    return H
