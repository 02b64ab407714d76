"""One point of the published curve: 5 seeds at once for 100 epochs, at one d. All d run side by side."""

import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu.fully_connected import data, nets, together

DIMS = {"full": (750, 200, 1500, 50, 500, 300, 1000, 100, 400, 600, 900, 1250), "tiny": (5, 10)}
SEEDS, EPOCHS = {"full": 5, "tiny": 2}, {"full": 100, "tiny": 2}


def measure(device: torch.device, scale: str, dim: str) -> Iterator[dict[str, Any]]:
    """A row after each epoch; a later one says all that an earlier one does."""
    name, task = data(device, scale)
    seeds, epochs, start = range(SEEDS[scale]), EPOCHS[scale], time.perf_counter()
    made = nets(task, int(dim), seeds, device, 200 if scale == "full" else 8)
    test: dict[int, float] = {}
    for latest in together(made, task, seeds, epochs):
        test |= {seed: epoch.test["accuracy"] for seed, epoch in enumerate(latest) if epoch.test is not None}
        row: dict[str, Any] = {"data": name, "dim": int(dim), "epoch": latest[0].epoch, "epochs": epochs}
        yield {**row, "seconds": time.perf_counter() - start, "test accuracy": [test[seed] for seed in seeds]}
