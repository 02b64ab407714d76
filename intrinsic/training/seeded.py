"""torch's global random state for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from the stream of a seed what is drawn from torch's global state; afterwards the state is as it was.

    On a CPU without `torch.manual_seed`, which writes down the stack for accelerators that are not there: up to 1 ms.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield
