"""Runs a second: the fully connected network, alone and R at once."""

import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.attempt import attempt
from benchmarks.gpu.fully_connected import alone, data, nets, together

COUNTS = {"full": (1, 8, 64, 256), "tiny": (1, 3)}
DIM, EPOCHS = {"full": 750, "tiny": 10}, {"full": 3, "tiny": 2}  # the first epoch compiles, and does not count
RUN = 10  # epochs of a run, as protocol=quick has them


def measure(device: torch.device, scale: str) -> Iterator[dict[str, Any]]:
    """One row for a run alone and one for each R."""
    name, task = data(device, scale)
    dim, epochs, width = DIM[scale], EPOCHS[scale], 200 if scale == "full" else 8

    def row(count: int) -> dict[str, Any]:
        seeds = range(max(count, 1))
        start = time.perf_counter()
        made = nets(task, dim, seeds, device, width)
        drawn, seconds, ends = time.perf_counter() - start, [], alone(made[0], task, 0, epochs)
        for _ in together(made, task, seeds, epochs) if count else ends:
            now = time.perf_counter()
            seconds.append(now - start)
            start = now
        epoch = statistics.median(seconds[1:])
        return {"epoch_seconds": epoch, "drawing_seconds": drawn, "runs_a_second": max(count, 1) / (RUN * epoch)}

    for count in (0, *COUNTS[scale]):
        case = {"data": name, "replicas": count or "alone", "dim": dim, "full_dim": None, "epochs": RUN}
        case["full_dim"] = nets(task, dim, [0], device, width)[0].full_dim
        yield attempt(case, partial(row, count), device)
