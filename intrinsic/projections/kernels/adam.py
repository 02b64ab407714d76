"""A step of Adam with the bits of torch's fused one."""

from typing import Any

import numpy as np
from numba.extending import intrinsic

from intrinsic.projections.kernels.compile import exact

_TOGETHER = 32  # bytes: what is left of the numbers beyond whole groups of so many, torch's compiler rounds otherwise


def _multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, b, c), generate


_fma: Any = intrinsic(_multiply_add)  # (a, b, c): a b + c, rounded once


@exact
def adam(g: Any, z: Any, state: Any, numbers: Any) -> None:
    """Step z by Adam: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, z -= lr m' / (v'^0.5 + eps).

    m' = m / (1 - beta1^t), v' = v / (1 - beta2^t). Source: Kingma & Ba 2014, arXiv:1412.6980, algorithm 1.

    Args:
        g: the gradient.
        z: what is moved.
        state: m, v, and t, (1,), which is counted on.
        numbers: lr, beta1, beta2, eps.
    """
    m, v, t = state
    lr, beta1, beta2, eps = numbers[0], numbers[1], numbers[2], numbers[3]
    t[0] += 1
    count = np.float64(t[0])
    like = z.dtype.type
    step, root = like(-(lr / (1 - beta1**count))), like(np.sqrt(1 - beta2**count))
    new, kept, squared, least = like(1 - beta1), like(beta2), like(1 - beta2), like(eps)
    whole = len(z) - len(z) % (_TOGETHER // z.itemsize)
    for i in range(len(z)):
        change = g[i] - m[i]
        m[i] = _fma(new, change, m[i]) if new < 0.5 else _fma(new - like(1), change, g[i])
        if i < whole:
            v[i] = _fma(squared * g[i], g[i], v[i] * kept)
        else:
            v[i] = _fma(v[i], kept, squared * g[i] * g[i])
        z[i] += step * m[i] / (np.sqrt(v[i]) / root + least)
