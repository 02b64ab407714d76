"""Seeds and counter-based random streams: the same bits on every device, thread count and chunk size."""

import hashlib

import numpy as np

from intrinsic.checks import integer

# Multipliers and Weyl constants of Philox4x32 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_CHUNK = 1 << 15  # counters per pass: the working set stays in cache; the result does not depend on it


def fan_out(seed: int, *purpose: str | int) -> int:
    """Derive an independent seed in [0, 2**63) from `seed` for a named purpose, such as ("epoch", 3).

    Raises:
        UserError: unless `seed` is an integer >= 0.
    """
    digest = hashlib.sha256("/".join(map(str, (integer("seed", seed, 0), *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def bits(seed: int, count: int, *, lane: int = 0, start: int = 0) -> np.ndarray:
    """Random words number `start` ... `start + count - 1` of one lane of the stream of `seed`: (count,) uint32.

    Word i is output i % 4 of Philox4x32-10 at the 128-bit counter (i // 4, lane) with `seed` as its 64-bit key, so that
    any part of the stream can be drawn alone and in any order. A matrix has one lane for each of its columns.
    """
    first, last = start // 4, -(-(start + count) // 4)
    words = np.empty((last - first, 4), dtype=np.uint32)
    for low in range(first, last, _CHUNK):
        high = min(low + _CHUNK, last)
        words[low - first : high - first] = _philox(seed, lane, low, high)
    return words.reshape(-1)[start - 4 * first : start - 4 * first + count]


def _philox(seed: int, lane: int, low: int, high: int) -> np.ndarray:
    counter = np.arange(low, high, dtype=np.uint64)
    x0, x1 = counter & _LOW, counter >> _SHIFT
    x2, x3 = np.full_like(counter, lane & 0xFFFFFFFF), np.full_like(counter, lane >> 32)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    p0, p1 = np.empty_like(counter), np.empty_like(counter)
    for _ in range(10):  # in place: at few numbers new memory takes as long as they do
        np.multiply(x0, _M0, out=p0)
        np.multiply(x2, _M1, out=p1)
        np.right_shift(p1, _SHIFT, out=x0)
        np.right_shift(p0, _SHIFT, out=x2)
        x0 ^= x1
        x2 ^= x3
        x0 ^= np.uint64(k0)
        x2 ^= np.uint64(k1)
        np.bitwise_and(p1, _LOW, out=x1)
        np.bitwise_and(p0, _LOW, out=x3)
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3], axis=1).astype(np.uint32)


def uniforms(seed: int, count: int, *, lane: int = 0, start: int = 0) -> np.ndarray:
    """Uniform numbers in (0, 1), the midpoints of 2**32 equal cells: (count,) float64."""
    return midpoints(bits(seed, count, lane=lane, start=start))


def midpoints(words: np.ndarray) -> np.ndarray:
    """The middle of the cell that a word numbers, of 2**32 equal ones in (0, 1): float64."""
    return (words + 0.5) / 2.0**32


def normals(seed: int, count: int, *, lane: int = 0, start: int = 0) -> np.ndarray:
    """Standard normal numbers by inversion of `uniforms`, within +- 6.4: (count,) float64."""
    from scipy.special import ndtri  # slow to import

    return ndtri(uniforms(seed, count, lane=lane, start=start))


def signs(seed: int, count: int, *, lane: int = 0, start: int = 0) -> np.ndarray:
    """Fair signs -1 and +1, 32 of them from each random word, lowest bit first: (count,) int8."""
    first = start // 32
    words = bits(seed, -(-(start + count) // 32) - first, lane=lane, start=first).astype("<u4")
    drawn = np.unpackbits(words.view(np.uint8), bitorder="little")[start - 32 * first : start - 32 * first + count]
    signs = drawn.view(np.int8)
    signs *= 2
    signs -= 1
    return signs


def keys(seed: int, count: int, *, start: int = 0) -> np.ndarray:
    """Random 64-bit sort keys; their argsort is a random permutation: (count,) uint64."""
    return bits(seed, 2 * count, start=2 * start).astype("<u4").view(np.uint64)


def permutation(seed: int, count: int) -> np.ndarray:
    """A uniformly random permutation of 0 ... count - 1, the stable argsort of `keys`: (count,) int64."""
    drawn = keys(seed, count)
    order = np.argsort(drawn)  # a quarter of the time of a stable one
    ordered = drawn[order]
    return np.argsort(drawn, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order
