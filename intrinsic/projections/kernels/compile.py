"""Numba as the kernels use it: compiled on first use, kept on disk, on torch's threads."""

import threading
from collections.abc import Callable
from typing import Any

import numba
import torch

from intrinsic.projections.kernels.cache import Cache

_config: Any = numba.config
if _config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT=1 lets Numba compile nothing")
# OpenMP first: it is torch's own pool, so that no second one spins against it
_config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

_threads = torch.get_num_threads()
try:
    numba.get_num_threads()  # starts the pool, and with it sets OpenMP's number of threads, which is also torch's
finally:
    torch.set_num_threads(_threads)

CHUNKS = 64  # a product is cut into so many parts whatever the number of threads, so that its bits do not depend on it
# Sums may be reordered, but NaN and infinity stay what they are: divergence must show.
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
_LOCK = threading.Lock()  # Numba's last-resort threading layer ends the process when two threads enter it
_masked = threading.local()  # as Numba's number of threads is, which nothing else here sets


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call."""
    return _inner(function, _FASTMATH)


def exact(function: Callable[..., Any]) -> Any:
    """The same, with every operation rounded as it is written: some processors estimate the roots of others."""
    return _inner(function, set())


def _inner(function: Callable[..., Any], fastmath: set[str]) -> Any:
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # a quarter of the time of a compilation
    return numba.njit(fastmath=fastmath, error_model="numpy", **options)(function)


def kernel(function: Callable[..., None]) -> Any:
    """Compile a kernel, whose loops over `numba.prange` run on several threads."""
    compiled = numba.njit(parallel=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")(function)
    Cache.serve(compiled)
    return compiled


def launch(function: Callable[..., None], *arguments: Any) -> None:
    """Run a kernel on as many threads as torch uses."""
    threads = min(torch.get_num_threads(), _config.NUMBA_NUM_THREADS)
    with _LOCK:
        if getattr(_masked, "threads", None) != threads:  # asking Numba takes as long as a small product
            numba.set_num_threads(threads)
            _masked.threads = threads
        function(*arguments)


@inner
def write(out: Any, origin: Any, offset: Any) -> None:
    """Put origin + offset into out; an empty origin means zero."""
    if len(origin):
        for i in range(len(out)):
            out[i] = origin[i] + offset[i]
    else:
        for i in range(len(out)):
            out[i] = offset[i]


@inner
def total(parts: Any, scale: Any, out: Any) -> None:
    """Put the sum of the rows of parts times scale into out, always in the same order."""
    for i in range(len(out)):
        out[i] = parts[0, i]
    for k in range(1, len(parts)):
        part = parts[k]
        for i in range(len(out)):
            out[i] += part[i]
    for i in range(len(out)):
        out[i] *= scale
