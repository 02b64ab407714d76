"""The fully connected network of Li et al. 2018 in subspaces, many at once."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch

import intrinsic
from intrinsic.data.digits import digits
from intrinsic.data.mnist import mnist
from intrinsic.files.data_folder import data_folder
from intrinsic.models.mlp import MLP
from intrinsic.rng import fan_out
from intrinsic.subspace import Subspace
from intrinsic.tasks.task import Task
from intrinsic.training.epoch import Epoch
from intrinsic.training.fit import fit
from intrinsic.training.fit_replicas import fit_replicas

BATCH, LR, BETAS, L2 = 128, 0.001, (0.9, 0.99), 1e-4  # as published
_PLAIN = {"rotate": 0, "shuffle_pixels": False, "shuffle_labels": False, "fraction": 1.0, "seed": 0}


def data(device: torch.device, scale: str) -> tuple[str, Task]:
    """MNIST where its files are at hand, else the digits of scikit-learn; on `device`."""
    folder = data_folder(None, "mnist")
    if scale == "full" and any(folder.glob("train-images-idx3-ubyte*")):
        return "MNIST", mnist(data_dir=None, name="mnist", **_PLAIN).to(device)
    return "digits", digits(**_PLAIN).to(device)


def nets(task: Task, dim: int, seeds: Sequence[int], device: torch.device, width: int = 200) -> list[Subspace]:
    """784-200-200-10 in a Fastfood subspace, one for each seed."""
    made = []
    for seed in seeds:
        torch.manual_seed(fan_out(seed, "init"))
        model = MLP(task.input_shape, task.num_outputs, depth=2, width=width, dropout=0.0).to(device)
        made.append(intrinsic.Subspace(model, projection=intrinsic.Fastfood, dim=dim, seed=fan_out(seed, "projection")))
    return made


def together(made: Sequence[Subspace], task: Task, seeds: Sequence[int], epochs: int) -> Iterator[list[Epoch]]:
    """Train all at once; after each epoch, what each net gave."""
    make = partial(torch.optim.Adam, betas=BETAS, fused=True)
    numbers = {"epochs": epochs, "batch_size": BATCH, "l2_weights": L2}
    latest: list[Epoch] = []
    for _, epoch, _ in fit_replicas(made, task, make, lrs=[LR] * len(made), seeds=seeds, **numbers):  # type: ignore[arg-type]
        latest.append(epoch)
        if len(latest) == len(made):
            yield latest
            latest = []


def alone(net: Subspace, task: Task, seed: int, epochs: int) -> Iterator[Epoch]:
    """Train one net as `run.py` does."""
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, betas=BETAS, fused=True)
    return fit(net, task, optimizer, epochs=epochs, batch_size=BATCH, seed=seed, l2_weights=L2)
