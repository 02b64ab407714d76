"""Functions that are compiled for one thread, and hold no lock of Python's."""

from collections.abc import Callable
from typing import Any

import numba

from intrinsic.projections.kernels.cache import Cache


def serial(function: Callable[..., None]) -> Any:
    """Compile a function of one thread, which others may call at the same time: see `on_threads`."""
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    Cache.serve(compiled)
    return compiled
