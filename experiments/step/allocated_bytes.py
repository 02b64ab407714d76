"""The bytes of tensors that a call allocates."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate

import torch
from torch.profiler import ProfilerActivity, profile


def allocated_bytes(call: Callable[[], object], device: torch.device) -> tuple[int, int]:
    """Bytes given out by torch's allocator during the call, beyond those from before it: at most, and at its end.

    On a CPU every allocation is noted by torch's profiler, those inside of kernels too; on a GPU the allocator keeps
    its peak. Bytes, not pages: what the operating system counts is rounded up and grows with fragments.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before, torch.cuda.memory_allocated(device) - before
    with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        call()
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    counts = list(accumulate(event.nbytes() for event in events))
    return max(counts, default=0), counts[-1] if counts else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines that the profiler's C++ writes to standard error when it begins and ends."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
