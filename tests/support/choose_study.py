"""Runs and measurements whose best rank and matrices are planted."""

import itertools
import json

import numpy as np
from safetensors.numpy import save_file

from tests.support.studies import add

RANKS = (1, 2, 4, 8, 16, 32)
SHAPES = {"q": (16, 16), "v": (16, 16), "up": (64, 16)}


def accuracy(rank, seed=0):
    """Planted: half-way at rank 2, towards 0.96."""
    return 0.1 + 0.86 / (1 + (2 / rank) ** 2) + 0.002 * seed


def fill(study, ranks=RANKS, seeds=(0, 1, 2), baseline=True, **more):
    for seed in seeds:
        if baseline:
            add(study, "full", 0.94, 0.96 + 0.002 * seed, seed=seed)
        for rank in ranks:
            add(study, test=accuracy(rank) - 0.02, validation=accuracy(rank, seed), rank=rank, seed=seed, **more)


def write(study, name, values, arrays, method, options=None):
    """A measurement beside the record of each run of the method."""
    for file in study.glob("*/record.json"):
        if json.loads(file.read_text())["method"] == method:
            metadata = json.dumps({"values": values, "options": options or {}})
            tensors = {key: np.asarray(array, np.float32) for key, array in arrays.items()}
            save_file(tensors, file.parent / f"{name}.safetensors", {"intrinsic": metadata})


def gradients(study, sigma, halves=None, method="lora", **kinds):
    """Two layers of the types of `sigma`, singular values all alike: gain(r) = s sqrt(r) / (r (m + n))."""
    weights, arrays = {}, {}
    for layer, (name, size) in itertools.product((0, 1), sigma.items()):
        full, (m, n) = f"net.layer.{layer}.{name}.weight", SHAPES[name]
        ranks = np.arange(1, 17)
        gain = size * (1 + 0.1 * layer) * np.sqrt(ranks) / (ranks * (m + n))
        weights[full] = {"shape": [m, n], "kind": kinds.get(name, "matrix"), "energy": 1.0}
        first, second = (half[name] / size for half in (halves or (sigma, sigma)))
        arrays |= {f"{full}/gain": gain, f"{full}/share": ranks / 16}
        arrays |= {f"{full}/half_gain": np.stack([first * gain, second * gain])}
    write(study, "gradients", {"weights": weights, "loss": 1.0}, arrays, method, {"keep": 16})


def updates(study, norms, method="full"):
    names = {f"net.layer.{layer}.{name}.weight": name for layer in (0, 1) for name in norms}
    arrays = {f"{full}/values": [norms[name], norms[name]] for full, name in names.items()}
    write(study, "updates", {"weights": {full: SHAPES[name] for full, name in names.items()}}, arrays, method)


def said(drawn):
    (line,) = [line for line in drawn.results if line.startswith("recommendation: ")]
    return line
