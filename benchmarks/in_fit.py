"""Epochs of `fit` as ratios to hand-written loops over the same batches: `python -m benchmarks.in_fit` prints rows."""

import json
import statistics
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import intrinsic
from benchmarks.projections import projections
from benchmarks.step import BATCH, CLASSES, LR, SHAPE
from benchmarks.steps import NETWORKS
from benchmarks.timing import in_turns
from intrinsic.tasks.task import Split, classification
from intrinsic.training.fit import fit

DIM, TURNS = 750, 5
STEPS = {"MLP 784-200-200-10": 391, "LeNet": 98}  # an epoch of MNIST, and a quarter of one
KEYS = ("network", "projection", "dim")


def measure(device: torch.device) -> Iterator[dict[str, Any]]:
    """One row for each network and projection: an epoch of `fit` to one of the full loop, and of a loop of its own."""
    for network, make in NETWORKS.items():
        split = _examples(STEPS[network], device)
        full = make_loop(make().to(device), split)
        rows: dict[str, dict[str, Any]] = {name: {"projection": p, "dim": DIM} for name, p in projections().items()}
        for name, options in {"full": {}, **rows}.items():
            nets = [intrinsic.Subspace(make().to(device), **options) for _ in range(2)]
            epoch, loop = make_epoch(nets[0], split), make_loop(nets[1], split)
            turns = in_turns(epoch, full, loop, turns=TURNS)
            yield {
                "network": network,
                "projection": name,
                "dim": nets[0].dim,
                "to_full_loop": statistics.median(a / b for a, b, _ in turns),
                "to_own_loop": statistics.median(a / b for a, _, b in turns),
                "full_step_ms": 1e3 * statistics.median(b for _, b, _ in turns) / STEPS[network],
            }


def _examples(steps: int, device: torch.device) -> Split:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(steps * BATCH, *SHAPE, generator=generator)
    return Split(inputs, torch.randint(CLASSES, (len(inputs),), generator=generator)).to(device)


def make_epoch(net: intrinsic.Subspace, split: Split) -> Callable[[], object]:
    """What trains `net` by an epoch of `fit`, and measures it on one example."""
    one = Split(split.inputs[:1], split.targets[:1])
    task = classification(split, one, one, num_outputs=CLASSES)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)
    epochs = fit(net, task, optimizer, epochs=1 << 30, batch_size=BATCH, seed=0)
    return lambda: next(epochs)


def make_loop(net: nn.Module, split: Split) -> Callable[[], object]:
    """What trains `net` by a loop of one's own over the batches of an epoch."""
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)
    numbers = count()

    def loop() -> float:
        generator = torch.Generator().manual_seed(next(numbers))
        order = torch.randperm(len(split), generator=generator).to(split.inputs.device)
        total = torch.zeros((), device=split.inputs.device)
        for some in order.split(BATCH):
            inputs, targets = split.inputs.index_select(0, some), split.targets.index_select(0, some)
            loss: Tensor = F.cross_entropy(net(inputs), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(inputs)
        return total.item() / len(split)

    return loop


if __name__ == "__main__":
    for row in measure(torch.device("cuda" if torch.cuda.is_available() else "cpu")):
        print(json.dumps(row), flush=True)
