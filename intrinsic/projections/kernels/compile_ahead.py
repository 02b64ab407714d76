"""Kernels compiled ahead, in several processes at once."""

import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import torch

from intrinsic.projections.base import Projection
from intrinsic.projections.kernels import draws
from intrinsic.projections.kernels.cache import Cache
from intrinsic.projections.kernels.select import left_out, select
from intrinsic.public import HOME, public
from intrinsic.terminal.say import say

NAMES = [name for name, home in HOME.items() if home.startswith("intrinsic.projections.")]


def compile_kernels(name: str) -> str:
    """Compile the CPU kernels of a projection in both precisions, and keep them on disk; returns a line about it."""
    Cache.said = True  # by `compile_ahead`
    began, kind = time.perf_counter(), public(name)
    assert issubclass(kind, Projection)
    vectors = [torch.ones(1, dtype=dtype) for dtype in (torch.float32, torch.float64)]
    found = [select(kind, vector) for vector in vectors]  # which proves them, and so compiles them
    for kernels, vector in zip(found, vectors, strict=True):
        if kernels is not None:
            kernels.descends(kind, vector.dtype)
    reason = left_out(kind, vectors[0])
    if reason is not None:
        return reason
    return f"{name}: {time.perf_counter() - began:.1f} s" if any(found) else f"{name}: has no kernels"


def compile_draw(name: str) -> str:
    """Compile what draws P at large sizes, and keep it on disk; returns a line about it."""
    began, found = time.perf_counter(), draws.proven(name)
    return f"{name}: " + ("left out" if found is None else f"{time.perf_counter() - began:.1f} s")


def compile_ahead() -> None:
    """Compile the kernels of every projection and what draws them, and say how long each took."""
    say("compiling kernels, once")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(compile_kernels, name) for name in NAMES]
        for done in as_completed(jobs + [pool.submit(compile_draw, name) for name in draws.NAMES]):
            say(done.result())
