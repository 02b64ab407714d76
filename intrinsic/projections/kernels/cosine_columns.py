"""The orthonormal cosine transform of 32 columns, which are 16 complex ones, by a Fourier transform (Makhoul 1980)."""

from typing import Any

import numba

from intrinsic.projections.kernels.compile import inner
from intrinsic.projections.kernels.cosine_cost import WIDTH
from intrinsic.projections.kernels.fourier import fourier
from intrinsic.projections.kernels.vector import LANES, load, splat, store


@numba.njit(forceinline=True)
def at_row(i: Any, length: Any) -> Any:
    """Where row i begins: even ones first, then odd ones backwards."""
    return WIDTH * (length - (i + 1) // 2 if i & 1 else i // 2)


@inner
def _scale(x: Any, length: Any) -> None:
    """The row of constant waves."""
    scale = splat(x.dtype.type(1 / length**0.5))
    store(x, 0, load(x, 0) * scale)
    store(x, LANES, load(x, LANES) * scale)


@inner
def forward(x: Any, y: Any, length: Any, radices: Any, numbers: Any, turns: Any, twist: Any) -> Any:
    """DCT-II of each column: row i at `at_row` before, row k in its place after. Scratch, result: as of `fourier`."""
    swapped = fourier(x, y, length, radices, numbers, turns)
    if swapped:
        x = y
    _scale(x, length)
    for k in range(1, length // 2 + 1):
        low, high = WIDTH * k, WIDTH * (length - k)
        cosine, sine = splat(numbers[twist + 2 * k]), splat(numbers[twist + 2 * k + 1])
        a, b, c, d = load(x, low), load(x, low + LANES), load(x, high), load(x, high + LANES)
        # A and B, of the first 16 columns and the last 16: 2 A = a + c + i (b - d), 2 B = b + d + i (c - a)
        store(x, low, cosine * (a + c) + sine * (b - d))
        store(x, low + LANES, cosine * (b + d) + sine * (c - a))
        store(x, high, sine * (a + c) - cosine * (b - d))
        store(x, high + LANES, sine * (b + d) - cosine * (c - a))
    return swapped


@inner
def backward(x: Any, y: Any, length: Any, radices: Any, numbers: Any, turns: Any, twist: Any) -> Any:
    """DCT-III, the inverse: row k in its place before, row i at `at_row` after."""
    _scale(x, length)
    for k in range(1, length // 2 + 1):
        low, high = WIDTH * k, WIDTH * (length - k)
        cosine, sine = splat(numbers[twist + 2 * k]), splat(numbers[twist + 2 * k + 1])
        a, b, c, d = load(x, low), load(x, low + LANES), load(x, high), load(x, high + LANES)
        # A from the last 16 columns, B from the first: with real and imaginary parts exchanged before and after,
        # `fourier` is its own inverse but for a factor
        real_a, imaginary_a = cosine * b + sine * d, sine * b - cosine * d
        real_b, imaginary_b = cosine * a + sine * c, sine * a - cosine * c
        store(x, low, imaginary_a + real_b)
        store(x, low + LANES, real_a - imaginary_b)
        store(x, high, real_b - imaginary_a)
        store(x, high + LANES, real_a + imaginary_b)
    return fourier(x, y, length, radices, numbers, turns)
