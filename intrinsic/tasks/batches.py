"""Batches of examples, of similar lengths where examples have lengths."""

from collections.abc import Iterator

import torch
from torch import Tensor

from intrinsic import rng
from intrinsic.tasks.task import Split

POOL = 50  # batches that are sorted together: few pad much, and yet each epoch mixes examples anew


def batches(split: Split, order: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(inputs, targets) of `size` consecutive examples of `order` (n,) int64, each batch trimmed to its longest input.

    None: in the order of the split, untrimmed.
    """
    if order is None:
        yield from zip(split.inputs.split(size), split.targets.split(size), strict=True)
        return
    rows = order.to(split.inputs.device).split(size)
    if split.lengths is None:
        yield from ((split.inputs.index_select(0, some), split.targets.index_select(0, some)) for some in rows)
        return
    for some, lengths in zip(rows, split.lengths[order].split(size), strict=True):
        yield split.inputs[some][..., : int(lengths.max())], split.targets[some]


def bucket(order: Tensor, lengths: Tensor, size: int, *, seed: int) -> Tensor:
    """Reorder `order` (n,) so that each `size` consecutive examples have similar lengths; those of `lengths` (n,).

    Pools of `POOL` batches are sorted by length, ties in the given order, and cut into batches, which are shuffled by
    `seed`; what is left over for a last, smaller batch stays last.
    """
    pools = [pool[lengths[pool].argsort(stable=True)] for pool in order.split(POOL * size)]
    drawn = torch.cat(pools).split(size)
    whole = len(order) // size
    turns = rng.permutation(seed, whole)
    return torch.cat([*(drawn[turn] for turn in turns), *drawn[whole:]])
