"""The memory that a step takes."""

from collections.abc import Callable
from itertools import accumulate

import torch


def step_peak_mb(step: Callable[[], object], device: torch.device) -> float:
    """MB of tensors that a step has at most beyond those from before it, as the GPU or torch's profiler counts them."""
    step()  # allocates the optimiser's state
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    assert profiler.profiler is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events)) / 1e6
