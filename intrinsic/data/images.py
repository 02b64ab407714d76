"""A folder of images, a folder inside it for each class."""

from dataclasses import replace
from pathlib import Path

import torch

from intrinsic.checks import check_memory, integer
from intrinsic.data.image_files import SPLITS, image_files
from intrinsic.data.read_image import read_image
from intrinsic.data.transforms import Transforms
from intrinsic.data.with_transforms import with_transforms
from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.task import Split, Task, classification

_BYTES = 9  # of memory for a number of an image: as a byte, and as float32 before and after a transformation
_HELD = 10  # one of so many images of a class is held out for validation, and one for test


@with_transforms
def images(*, folder: str | Path | None, side: int, channels: int, transforms: Transforms) -> Task:
    """Load images: inputs (n, channels, side, side) float32 in [0, 1]; classes are numbered as their names are sorted.

    Images are cut to their central square and resized; `channels` is 3 for colours, 1 for grey. They are split by
    folder, folder/train/<class>, folder/validation/<class> (or val) and folder/test/<class>, all three of them; where
    folder holds the classes themselves, a tenth of each class, one image at least, is validation and another test, by
    `seed`.

    Raises:
        UserError: as `Transforms`, which documents the options; for no folder, one without classes, a class without
            images or with too few to split, a class that a split lacks, a file that is no image, and without pillow.
    """
    integer("side", side, 1, of="images")
    if channels not in (1, 3) or isinstance(channels, bool):
        raise UserError(f"need dataset.channels=3 for colours or 1 for grey, got channels={channels!r}")
    if not isinstance(folder, str | Path) or not str(folder):
        raise UserError(f"need dataset.folder as the path of a folder with a folder for each class, got {folder!r}")
    names, files = image_files(expand_path(folder))
    if list(files) != list(SPLITS):
        files = _split(names, files[""], transforms.seed)
    count = sum(len(part) for part in files.values())
    check_memory(_BYTES * count * channels * side * side, folder)
    splits = (_read(part, side, channels) for part in files.values())
    task = classification(*transforms(*splits), num_outputs=transforms.outputs(len(names)))
    return replace(task, files=[str(folder)])


def _split(classes: list[str], files: list[tuple[Path, int]], seed: int) -> dict[str, list[tuple[Path, int]]]:
    """The files of each split, with about as many of each class."""
    parts: dict[str, list[tuple[Path, int]]] = {name: [] for name in SPLITS}
    for number, name in enumerate(classes):
        own = [file for file in files if file[1] == number]
        if len(own) < len(SPLITS):
            raise UserError(f"class {name!r} has {len(own)} images in {own[0][0].parent}: need {len(SPLITS)} at least")
        held = max(1, len(own) // _HELD)
        order = [own[place] for place in permutation(fan_out(seed, "split", name), len(own))]
        for part, chosen in zip(SPLITS, (order[2 * held :], order[:held], order[held : 2 * held]), strict=True):
            parts[part] += chosen
    return parts


def _read(files: list[tuple[Path, int]], side: int, channels: int) -> Split:
    inputs = torch.empty(len(files), channels, side, side, dtype=torch.uint8)
    for row, (path, _) in enumerate(files):
        inputs[row] = read_image(path, side, channels)
    return Split(inputs.float() / 255, torch.tensor([number for _, number in files]))
