"""Images of ten classes in MNIST's file format, as a task."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intrinsic.data.downloads import download
from intrinsic.data.read_idx import read_idx
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.files.data_folder import write_data
from intrinsic.files.lock import locked
from intrinsic.tasks.task import Split, Task, classification

CLASSES = 10


@dataclass(frozen=True)
class IdxFiles:
    """The four published files of a data set.

    Args:
        sums: hexadecimal checksums of the unpacked files by their names, in the order in which a message names them.
        algorithm: of these checksums: md5 or sha256.
        mirrors: addresses of folders that have the files with .gz.
        size: bytes of the largest file, unpacked, at most.
    """

    sums: Mapping[str, str]
    algorithm: str
    mirrors: Sequence[str]
    size: int


def idx_task(folder: Path, files: IdxFiles, transforms: Transforms, *, others: str | None) -> Task:
    """Read train-* and t10k-*, plain or with .gz, from a folder; what is absent is downloaded first.

    Validation is the last sixth of the training file.

    Args:
        folder: of the files.
        files: what is published.
        transforms: of the splits.
        others: what to do about other data than the published, for the message that refuses them; None: they are taken.

    Raises:
        UserError: for a file that can neither be found nor downloaded; for one that is damaged (packing, magic number,
            size, number of labels, a label above 9); and for other data than the published.
    """
    whole, test = (_read_pair(folder, part, files, others) for part in ("train", "t10k"))
    if whole.inputs.shape[1:] != test.inputs.shape[1:]:
        found = " and ".join("{} x {}".format(*split.inputs.shape[2:]) for split in (whole, test))
        raise UserError(f"{folder}: need training and test images of one size, got {found}: {_again(folder)}")
    held = len(whole) // 6
    if not held:
        raise UserError(f"{folder}: need at least 6 training images, got {len(whole)}: {_again(folder)}")
    sizes = [len(whole) - held, held]
    train, validation = (
        Split(*both) for both in zip(whole.inputs.split(sizes), whole.targets.split(sizes), strict=True)
    )
    task = classification(*transforms(train, validation, test), num_outputs=transforms.outputs(CLASSES))
    unknown = [] if others else [_locate(folder, name, files).name for name in files.sums]
    return replace(task, files=[f"{folder.name}/{name}" for name in unknown])


def _read_pair(folder: Path, part: str, files: IdxFiles, others: str | None) -> Split:
    images_path, labels_path = (
        _locate(folder, f"{part}-{kind}-ubyte", files) for kind in ("images-idx3", "labels-idx1")
    )
    images, labels = read_idx(images_path, dims=3), read_idx(labels_path, dims=1)
    if len(images) != len(labels):
        raise UserError(
            f"{labels_path}: need a label for each of {len(images)} images, got {len(labels)}: {_again(labels_path)}"
        )
    if labels.max() >= CLASSES:
        raise UserError(f"{labels_path}: need labels from 0 to 9, got {int(labels.max())}: {_again(labels_path)}")
    for path, content in ((images_path, images), (labels_path, labels)) if others else ():
        header = struct.pack(f">{1 + content.ndim}I", 0x0800 + content.ndim, *content.shape)
        bits = header + content.numpy().tobytes()
        found = hashlib.new(files.algorithm, bits, usedforsecurity=False).hexdigest()
        if found != files.sums[path.name.removesuffix(".gz")]:
            raise UserError(f"{path}: need the published file, got other data: {others}")
    return Split(images.unsqueeze(1).float() / 255, labels.long())


def _locate(folder: Path, name: str, files: IdxFiles) -> Path:
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.exists():
        return plain
    if not packed.exists():
        with locked(folder.parent / f".{folder.name}.lock", purpose="downloads the same data", setting="data_dir"):
            if not packed.exists():
                place = f"{', '.join(f'{each}.gz' for each in files.sums)} into {folder}"
                urls = [f"{mirror}{name}.gz" for mirror in files.mirrors]
                checksum = {files.algorithm: files.sums[name]}
                write_data(packed, download(urls, **checksum, size=files.size, place=place, packed=True))
    return packed


def _again(path: Path) -> str:
    return f"delete {path.name} so that it is fetched again"
