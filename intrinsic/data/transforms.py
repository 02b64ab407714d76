"""The options that every image dataset shares: rotation, shuffled pixels, wrong labels, a part of the data."""

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.task import Split


@dataclass(frozen=True, kw_only=True)
class Transforms:
    """Changes to a dataset, applied in the order of the fields; inputs are (n, channels, height, width).

    `rotate`: degrees counter-clockwise; multiples of 90 exactly, others bilinearly with zeros from outside the image.
    `shuffle_pixels`: one permutation of the channels * height * width flat positions for all images of all splits.
    `shuffle_labels`: the labels of each split are permuted among its examples, each split by its own permutation, so
    that training labels can only be memorised and held-out accuracy is that of guessing.
    `fraction`: share of the training examples that is kept, a random subset, in (0, 1]; the subset of a smaller
    fraction is part of that of a larger one, with the same labels. Validation and test are kept whole.
    `seed`: of the permutations and the subset, which are independent of one another.
    `label_noise`: share of the training examples with the label that `shuffle_labels` would give them, in [0, 1]; it is
    the right one by chance. Those of a smaller share are among those of a larger one. Held-out labels stay right.
    `classes`: the examples of the first so many classes alone, in all splits, before anything else; None: all.

    Raises:
        UserError: when an option is of another type or outside its range, when `fraction` or `classes` keep no example,
            for noise in labels that are all shuffled, and for a quarter turn of images that are not square.

    Source: Li et al. 2018, arXiv:1804.08838 (shuffled pixels and labels; they score shuffled labels on the training
        examples).
    """

    rotate: float
    shuffle_pixels: bool
    shuffle_labels: bool
    fraction: float
    seed: int
    label_noise: float = 0.0
    classes: int | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.rotate) or not -sys.float_info.max <= self.rotate <= sys.float_info.max:  # NaN neither
            raise UserError(f"need rotate as a finite number of degrees, got rotate={self.rotate!r}")
        for name in ("shuffle_pixels", "shuffle_labels"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"need {name} to be true or false, got {name}={getattr(self, name)!r}")
        if not _is_number(self.fraction) or not 0 < self.fraction <= 1:
            raise UserError(f"need 0 < fraction <= 1, got fraction={self.fraction!r}")
        if not _is_number(self.label_noise) or not 0 <= self.label_noise <= 1:
            raise UserError(f"need 0 <= label_noise <= 1, got label_noise={self.label_noise!r}")
        if self.label_noise and self.shuffle_labels:
            raise UserError(f"shuffle_labels=true leaves no label for label_noise={self.label_noise}: use one of them")
        if self.classes is not None:
            integer("classes", self.classes, 2)
        fan_out(self.seed)

    def __call__(self, train: Split, validation: Split, test: Split) -> tuple[Split, Split, Split]:
        """Return the three splits with all changes applied; the given tensors are not written to."""
        chosen = {"train": train, "validation": validation, "test": test}
        if self.classes is not None:
            chosen = {name: _first_classes(split, self.classes, name) for name, split in chosen.items()}
        train, validation, test = (
            Split(self._change_inputs(split.inputs), self._change_labels(split.targets, name))
            for name, split in chosen.items()
        )
        return self._subset(train), validation, test

    def outputs(self, classes: int) -> int:
        """How many outputs a network needs for data of so many classes.

        Raises:
            UserError: if there are fewer than `classes` of this object asks for.
        """
        if self.classes is not None and self.classes > classes:
            raise UserError(f"need classes <= {classes}, which the data have, got classes={self.classes}")
        return classes if self.classes is None else self.classes

    def _change_inputs(self, inputs: Tensor) -> Tensor:
        if self.rotate % 360:
            inputs = _rotated(inputs, self.rotate)
        if self.shuffle_pixels:
            flat = inputs.flatten(1)  # (n, channels * height * width)
            order = torch.from_numpy(permutation(fan_out(self.seed, "shuffle_pixels"), flat.shape[1]))
            inputs = flat[:, order].view(inputs.shape)
        return inputs

    def _change_labels(self, targets: Tensor, name: str) -> Tensor:
        noisy = round(self.label_noise * len(targets)) if name == "train" else 0
        if not self.shuffle_labels and not noisy:
            return targets
        shuffled = targets[torch.from_numpy(permutation(fan_out(self.seed, "shuffle_labels", name), len(targets)))]
        if self.shuffle_labels:
            return shuffled
        wrong = torch.from_numpy(permutation(fan_out(self.seed, "label_noise"), len(targets))[:noisy])
        return targets.index_copy(0, wrong, shuffled[wrong])

    def _subset(self, train: Split) -> Split:
        if self.fraction == 1:
            return train
        count = round(self.fraction * len(train))
        if not count:
            raise UserError(f"fraction={self.fraction} keeps none of {len(train)} training examples: use a larger one")
        kept = torch.from_numpy(permutation(fan_out(self.seed, "fraction"), len(train))[:count]).sort().values
        return Split(train.inputs[kept], train.targets[kept])


def _first_classes(split: Split, classes: int, name: str) -> Split:
    kept = split.targets < classes
    if not kept.any():
        raise UserError(f"classes={classes} keeps none of {len(split)} {name} examples: use more")
    return Split(split.inputs[kept], split.targets[kept])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rotated(inputs: Tensor, degrees: float) -> Tensor:
    height, width = inputs.shape[-2:]
    if height != width:
        raise UserError(f"rotate={degrees} needs square images, got {height} x {width}: use rotate=0")
    if degrees % 90 == 0:
        return torch.rot90(inputs, int(degrees // 90) % 4, (-2, -1)).contiguous()
    from scipy import ndimage  # slow to import

    return torch.from_numpy(ndimage.rotate(inputs.numpy(), degrees, axes=(-1, -2), reshape=False, order=1))
