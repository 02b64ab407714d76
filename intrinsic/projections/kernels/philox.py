"""The words of intrinsic.rng.bits, drawn inside a kernel."""

from typing import Any

import numpy as np

from intrinsic.projections.kernels.compile import inner

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


@inner
def words(seed: Any, counter: int, out: Any) -> None:
    """Words 4 counter ... 4 counter + 3 of lanes 0, 1, ...: out (4, lanes) uint32. Philox4x32-10: see intrinsic.rng."""
    a, b, c, d = out[0], out[1], out[2], out[3]
    low, high = np.uint64(counter) & _LOW, np.uint64(counter) >> _SHIFT
    for lane in range(len(a)):
        x0, x1, x2, x3 = low, high, np.uint64(lane) & _LOW, np.uint64(lane) >> _SHIFT
        k0, k1 = seed & _LOW, seed >> _SHIFT
        for _ in range(10):
            p0, p1 = x0 * _M0, x2 * _M1
            x0, x1, x2, x3 = (p1 >> _SHIFT) ^ x1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ x3 ^ k1, p0 & _LOW
            k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
        a[lane], b[lane], c[lane], d[lane] = np.uint32(x0), np.uint32(x1), np.uint32(x2), np.uint32(x3)
