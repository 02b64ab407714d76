"""The streams of `intrinsic.rng`, drawn by torch: the same bits on any device, in a GPU's memory at once."""

from math import ceil

import torch
from torch import Tensor

# Multipliers and Weyl constants of Philox4x32: see intrinsic.rng.
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF
_PART = 1 << 20  # counters at a time: a tensor of them takes 8 MB; the result does not depend on it
_SIGN = -1 << 63  # flips the order of int64 into that of uint64


def philox(seed: int, counter: Tensor, lane: Tensor) -> Tensor:
    """The four words of each counter and lane: int64 of any shapes that go together -> (4, ...) int64 in [0, 2^32).

    A product of two 32-bit numbers wraps around in int64, and its 64 bits are those of the product all the same.
    """
    counter, lane = torch.broadcast_tensors(counter, lane)
    x0, x1, x2, x3 = counter & _LOW, counter >> 32, lane & _LOW, lane >> 32
    k0, k1 = seed & _LOW, (seed >> 32) & _LOW
    for _ in range(10):
        p0, p1 = x0 * _M0, x2 * _M1
        x0, x1, x2, x3 = (p1 >> 32 & _LOW) ^ x1 ^ k0, p1 & _LOW, (p0 >> 32 & _LOW) ^ x3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return torch.stack([x0, x1, x2, x3])


def bits(seed: int, count: int, *, device: torch.device, lane: int = 0, start: int = 0) -> Tensor:
    """Random words as `rng.bits` has them: (count,) int32, of which the 32 bits count."""
    first, last = start // 4, -(-(start + count) // 4)
    words = torch.empty(last - first, 4, dtype=torch.int32, device=device)
    column = torch.tensor(lane, device=device)
    for low in range(first, last, _PART):
        counter = torch.arange(low, min(low + _PART, last), device=device)
        words[low - first : low - first + len(counter)] = _wrapped(philox(seed, counter, column)).T
    return words.view(-1)[start - 4 * first : start - 4 * first + count]


def lanes(seed: int, dim: int, low: int, out: Tensor) -> None:
    """Words low, low + 1, ... of lanes 0 ... dim - 1, in the first columns of `out`: (rows, dim or more) int32."""
    lane, part = torch.arange(dim, device=out.device), max(1, _PART // dim)
    first, last = low // 4, -(-(low + len(out)) // 4)
    for start in range(first, last, part):
        counter = torch.arange(start, min(start + part, last), device=out.device)
        words = _wrapped(philox(seed, counter[:, None], lane)).transpose(0, 1).flatten(0, 1)  # (4 counters, lanes)
        row = 4 * start - low
        words = words[max(0, -row) : len(out) - row]
        out[max(0, row) : max(0, row) + len(words), :dim] = words


def uniforms(seed: int, count: int, *, device: torch.device, lane: int = 0, start: int = 0) -> Tensor:
    """Uniform numbers in (0, 1), those of `rng.uniforms`: (count,) float64."""
    words = bits(seed, count, device=device, lane=lane, start=start).long() & _LOW
    return (words.double() + 0.5) / 2.0**32


def signs(seed: int, count: int, *, device: torch.device, start: int = 0) -> Tensor:
    """Fair signs, those of `rng.signs`: (count,) int8."""
    shifts = torch.arange(32, dtype=torch.int32, device=device)
    first, last = start // 32, ceil((start + count) / 32)
    drawn = torch.empty(last - first, 32, dtype=torch.int8, device=device)
    for low in range(first, last, _PART):
        words = bits(seed, min(_PART, last - low), device=device, start=low)
        drawn[low - first : low - first + len(words)] = (words[:, None] >> shifts & 1).mul_(2).sub_(1)
    return drawn.view(-1)[start - 32 * first : start - 32 * first + count]


def ordered_keys(seed: int, count: int, *, device: torch.device, start: int = 0) -> Tensor:
    """Numbers in the order of `rng.keys`: (count,) int64, the keys with their highest bit turned over."""
    return bits(seed, 2 * count, device=device, start=2 * start).view(torch.int64) ^ _SIGN


def permutation(seed: int, count: int, *, device: torch.device) -> Tensor:
    """The permutation of `rng.permutation`: (count,) int64. About 40 bytes a number while it is sorted."""
    return torch.sort(ordered_keys(seed, count, device=device), stable=True).indices


def _wrapped(words: Tensor) -> Tensor:
    """The same 32 bits as int32."""
    return torch.where(words > 0x7FFFFFFF, words - (1 << 32), words).to(torch.int32)
