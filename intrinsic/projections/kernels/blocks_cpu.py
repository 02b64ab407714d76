"""The blocks of Fastfood: signs, a diagonal of unit length and a permutation in each."""

from typing import Any

import numpy as np

from intrinsic import rng
from intrinsic.projections.kernels.draws import compare
from intrinsic.projections.kernels.keys import TILE, draw, sort
from intrinsic.projections.kernels.on_threads import on_threads
from intrinsic.projections.kernels.serial import serial
from intrinsic.projections.kernels.streams_cpu import normals, words, write_signs

_PART = 1 << 16  # weights that one thread draws at a time: it stays in its cache


def blocks(
    seeds: list[int], gaussian: bool, sign: np.ndarray, gain: np.ndarray, source: np.ndarray, *, first: int = 0
) -> None:
    """Fill arrays (blocks, n): with the signs, normal numbers and keys' argsorts that intrinsic.rng draws for `seeds`.

    `gain` gets normal numbers, or signs, divided by their length; `source` is unsigned. `first`: the number of the
    first block, of which 128 weights in all, or a multiple of them, come before it.
    """
    n = sign.shape[1]
    step = max(1, _PART // n)

    def fill(low: int) -> None:
        part = slice(low, min(low + step, len(sign)))
        start, shape = (first + low) * n, sign[part].shape
        count = shape[0] * n
        write_signs(words(seeds[0], -(-count // 32), start=start // 32), sign[part].reshape(-1))
        if gaussian:
            numbers = normals(seeds[1], count, start=start).reshape(shape)
        else:
            signs = np.empty(count, np.int8)
            write_signs(words(seeds[1], -(-count // 32), start=start // 32), signs)
            numbers = signs.reshape(shape)
        gain[part] = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
        _order(np.uint64(seeds[2]), start, n, source[part].reshape(-1))

    on_threads(fill, range(0, len(sign), step))


@serial
def _order(seed: Any, start: int, n: int, out: Any) -> None:
    """The argsorts of each n keys from key `start` on, a multiple of TILE."""
    keys, numbers = np.empty(max(n, TILE), np.uint64), np.empty(n, out.dtype)
    sorted_, order, counts = np.empty(n, np.uint64), np.empty(n, out.dtype), np.empty(2 * n + 2, np.int32)
    for k in range(n):
        numbers[k] = k
    for first in range(0, len(out), len(keys)):
        draw(seed, np.uint64(0), np.uint64((start + first) // 2), keys)
        for low in range(first, min(first + len(keys), len(out)), n):
            sort(keys[low - first : low - first + n], numbers, 0, counts, sorted_, order)
            for k in range(n):
                out[low + k] = order[k]


def prove() -> None:
    """Compare with numpy, for both types of `source`.

    Raises:
        ArithmeticError: if there is a difference.
    """
    seeds = [(5 << 32) + 3, 7, 11]
    for n, dtype in ((8, np.uint16), (64, np.uint32)):
        shape = 2000 // n, n
        count = shape[0] * n
        sign, gain, source = np.empty(shape, np.int8), np.empty(shape, np.float32), np.empty(shape, dtype)
        blocks(seeds, True, sign, gain, source)
        numbers = rng.normals(seeds[1], count).reshape(shape)
        compare("a sign", sign.reshape(-1), rng.signs(seeds[0], count))
        lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
        compare("a normal number", gain, (numbers / lengths).astype(np.float32))
        compare("a permutation", source, rng.keys(seeds[2], count).reshape(shape).argsort(axis=1, kind="stable"))
        wholes: list[np.ndarray] = [sign, gain, source]
        rest = [np.empty_like(whole[16:]) for whole in wholes]
        blocks(seeds, True, *rest, first=16)
        for found, whole in zip(rest, wholes, strict=True):
            compare("a block further on", found, whole[16:])
