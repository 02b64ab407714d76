"""Handwritten digits of 8 x 8 pixels that come with scikit-learn: no download."""

import gzip
import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from intrinsic.data.transforms import Transforms
from intrinsic.data.with_transforms import with_transforms
from intrinsic.missing_package import missing_package
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.task import Split, Task, classification

SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"  # of digits.csv.gz in scikit-learn


@with_transforms
def digits(*, transforms: Transforms) -> Task:
    """Load 1,797 digits: inputs (n, 1, 8, 8) float32 in [0, 1], split 1,079 / 359 / 359 by a shuffle of `seed` alone.

    Raises:
        UserError: as `Transforms`, which documents the options; and without scikit-learn.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test file), as in scikit-learn.
    """
    table = _read()
    order = permutation(fan_out(transforms.seed, "split"), len(table))
    inputs = torch.from_numpy(table[order, :-1]).float().view(-1, 1, 8, 8) / 16
    targets = torch.from_numpy(table[order, -1]).long()
    held = len(order) // 5
    sizes = [len(order) - 2 * held, held, held]
    splits = (Split(*both) for both in zip(inputs.split(sizes), targets.split(sizes), strict=True))
    return classification(*transforms(*splits), num_outputs=transforms.outputs(10))


def _read() -> np.ndarray:
    """The file of digits, (1797, 65) float64: 64 pixels from 0 to 16, then the digit.

    Where it is the known one it is read without scikit-learn, whose import takes longer than most runs on these digits.
    """
    spec = find_spec("sklearn")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() == SHA256:
            return np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise missing_package("scikit-learn", "program") from None

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])
