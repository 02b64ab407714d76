"""Handwritten digits of 8 x 8 pixels that come with scikit-learn: no download."""

import torch

from intrinsic.data.transforms import Transforms
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.task import Split, Task, classification


def digits(*, rotate: float, shuffle_pixels: bool, shuffle_labels: bool, fraction: float, seed: int) -> Task:
    """Load 1,797 digits: inputs (n, 1, 8, 8) float32 in [0, 1], split 1,079 / 359 / 359 by a shuffle of `seed` alone.

    Raises:
        UserError: as `Transforms`, which documents the options.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test file), as in scikit-learn.
    """
    transforms = Transforms(
        rotate=rotate, shuffle_pixels=shuffle_pixels, shuffle_labels=shuffle_labels, fraction=fraction, seed=seed
    )
    from sklearn.datasets import load_digits  # slow to import, and only this dataset needs it

    bunch = load_digits()
    order = permutation(fan_out(seed, "split"), len(bunch.images))
    inputs = torch.from_numpy(bunch.images[order]).float().unsqueeze(1) / 16
    targets = torch.from_numpy(bunch.target[order]).long()
    held = len(order) // 5
    sizes = [len(order) - 2 * held, held, held]
    splits = (Split(*both) for both in zip(inputs.split(sizes), targets.split(sizes), strict=True))
    return classification(*transforms(*splits), num_outputs=10)
