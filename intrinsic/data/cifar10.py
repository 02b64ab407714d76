"""CIFAR-10, from its binary files."""

import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from intrinsic.checks import check_memory
from intrinsic.data.downloads import download
from intrinsic.data.transforms import Transforms
from intrinsic.data.with_transforms import with_transforms
from intrinsic.errors import UserError
from intrinsic.files.data_folder import data_folder, write_data
from intrinsic.files.lock import locked
from intrinsic.tasks.task import Split, Task, classification

_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive
_LARGEST = 180_000_000  # bytes of the archive: 170 million
_FOLDER = "cifar-10-batches-bin"  # also the archive's own folder
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = ("test_batch.bin",)
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32  # bytes: the label, then the red, green and blue plane, each in rows
_BYTES = 6  # of memory for a byte of a file: as it is read, and as float32
_CLASSES = 10


@with_transforms
def cifar10(*, data_dir: str | Path | None, transforms: Transforms) -> Task:
    """Load small colour photographs: inputs (n, 3, 32, 32) float32 in [0, 1], split 45,000 / 5,000 / 10,000.

    The files data_batch_1.bin ... data_batch_5.bin and test_batch.bin are read from the folder `cifar-10-batches-bin`
    (`data_folder` says where), where unpacking the archive puts them; when one is absent, the archive (170 MB) is
    downloaded and those that are absent are taken from it. Validation is the last tenth of the training records.

    Raises:
        UserError: as `Transforms`, which documents the options; for files that can neither be found nor downloaded; and
            for a file that is not a whole number of records or has a label above 9.

    Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.
    """
    folder = data_folder(data_dir, _FOLDER)
    if _absent(folder):
        with locked(folder.parent / f".{folder.name}.lock", purpose="downloads the same data", setting="data_dir"):
            _fetch(folder, _absent(folder))
    whole, test = _read(folder, _TRAIN), _read(folder, _TEST)
    held = len(whole) // 10
    if not held:
        raise UserError(f"{folder}: need at least 10 training images, got {len(whole)}: {_again('the folder')}")
    sizes = [len(whole) - held, held]
    train, validation = (
        Split(*both) for both in zip(whole.inputs.split(sizes), whole.targets.split(sizes), strict=True)
    )
    task = classification(*transforms(train, validation, test), num_outputs=transforms.outputs(_CLASSES))
    return replace(task, files=[f"{_FOLDER}/{name}" for name in (*_TRAIN, *_TEST)])


def _absent(folder: Path) -> list[str]:
    return [name for name in (*_TRAIN, *_TEST) if not (folder / name).exists()]


def _fetch(folder: Path, absent: Sequence[str]) -> None:
    if not absent:
        return
    content = download([_URL], md5=_MD5, size=_LARGEST, place=f"{', '.join((*_TRAIN, *_TEST))} into {folder}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for name in absent:
            member = archive.extractfile(f"{_FOLDER}/{name}")  # read, not unpacked: its path plays no part
            assert member is not None, f"{name} is a plain file in the archive of this checksum"
            write_data(folder / name, member.read())


def _read(folder: Path, names: Sequence[str]) -> Split:
    records = torch.from_numpy(np.concatenate([_read_records(folder / name) for name in names]))
    return Split(records[:, 1:].reshape(-1, *_SHAPE).float() / 255, records[:, 0].long())


def _read_records(path: Path) -> np.ndarray:
    try:
        if not path.is_file():
            raise UserError(f"{path}: cannot be read (not a regular file): make it readable or remove it")
        check_memory(_BYTES * path.stat().st_size, path)
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): make it readable or remove it") from error
    if not content.size or content.size % _RECORD:
        raise UserError(
            f"{path}: need records of {_RECORD} bytes, at least one, got {content.size} bytes: {_again(path.name)}"
        )
    records = content.reshape(-1, _RECORD)
    if records[:, 0].max() >= _CLASSES:
        raise UserError(f"{path}: need labels from 0 to 9, got {records[:, 0].max()}: {_again(path.name)}")
    return records


def _again(name: str) -> str:
    return f"delete {name} so that it is fetched again"
