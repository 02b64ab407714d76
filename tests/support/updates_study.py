"""Studies of runs whose weights and updates are planted."""

import itertools

import torch

from experiments.updates import decompose_update
from intrinsic.files.tensors import write_tensors
from tests.support.studies import add

QUERY = "layer.{}.attention.query.weight"


def orthonormal(rows, columns, seed):
    """A random matrix (rows, columns) with orthonormal columns, uniformly distributed."""
    return torch.linalg.qr(gaussian(rows, columns, seed))[0]


def gaussian(rows, columns, seed):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def low_rank(rows, columns, rank, seed, size=1.0):
    """A random matrix of `rank` equal singular values `size`."""
    return size * orthonormal(rows, rank, 2 * seed + 1000) @ orthonormal(columns, rank, 2 * seed + 1001).T


def moved(study, weights, method="lora", *, head=(), keep=64, **swept):
    """Add a finished run to a study, with what `experiments.updates` says of weights {name: (W_0, dW)}."""
    folder = add(study, method, **swept).parent
    arrays = {}
    for name, (origin, update) in weights.items():
        found = decompose_update(origin, update, keep, seed=len(arrays))
        arrays |= {f"{name}/{key}": value.float() for key, value in found.items()}
    values = {"weights": {name: list(pair[0].shape) for name, pair in weights.items()}, "head": list(head)}
    write_tensors(folder / "updates.safetensors", arrays, {"values": values, "options": {"keep": keep}})
    return folder


def random_runs(study, ranks=(2, 8), seeds=(0, 1), layers=3, shape=(40, 30)):
    """LoRA's runs whose updates are independent and random."""
    origins = {QUERY.format(layer): gaussian(*shape, layer) for layer in range(layers)}
    for rank, seed in itertools.product(ranks, seeds):
        updates = [low_rank(*shape, rank, 100 * rank + 10 * seed + layer) for layer in range(layers)]
        moved(study, dict(zip(origins, zip(origins.values(), updates, strict=True), strict=True)), rank=rank, seed=seed)
