"""Some of the examples of a split, for what would take long on all."""

import torch

from intrinsic import rng
from intrinsic.tasks.task import Split


def subset(split: Split, examples: int, seed: int) -> Split:
    """As many examples, drawn at random: all of them where the split has no more."""
    if len(split) <= examples:
        return split
    some = torch.from_numpy(rng.permutation(rng.fan_out(seed, "examples"), len(split))[:examples]).sort().values
    return split.select(some)
