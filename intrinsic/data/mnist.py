"""MNIST, and what comes in its file format (Fashion-MNIST, KMNIST, ...)."""

import hashlib
import struct
from pathlib import Path

from intrinsic.data.downloads import download
from intrinsic.data.read_idx import read_idx
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.files.data_folder import data_folder, write_data
from intrinsic.files.lock import locked
from intrinsic.tasks.task import Split, Task, classification

_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_MD5 = {  # of the unpacked files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_LARGEST = 50_000_000  # bytes of a published file, unpacked: 47 million
_CLASSES = 10


def mnist(
    *,
    data_dir: str | Path | None,
    name: str,
    rotate: float,
    shuffle_pixels: bool,
    shuffle_labels: bool,
    fraction: float,
    seed: int,
    label_noise: float = 0.0,
    classes: int | None = None,
) -> Task:
    """Load handwritten digits: inputs (n, 1, 28, 28) float32 in [0, 1], split 50,000 / 10,000 / 10,000.

    The files train-images-idx3-ubyte, train-labels-idx1-ubyte and the two of t10k, plain or with .gz, are read from the
    folder `mnist` (`data_folder` says where) and downloaded when absent. Validation is the last sixth of the training
    file. Files of other data in the same format work as well, under a `name` of their own, which tells their runs from
    those of MNIST: the name "mnist" takes the published files only.

    Raises:
        UserError: as `Transforms`, which documents the options; for a file that can neither be found nor downloaded;
            for a file that is damaged: packing, magic number, size, number of labels, a label above 9; and for another
            file under the name "mnist".

    Source: LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document recognition.
    """
    transforms = Transforms(
        rotate=rotate,
        shuffle_pixels=shuffle_pixels,
        shuffle_labels=shuffle_labels,
        fraction=fraction,
        seed=seed,
        label_noise=label_noise,
        classes=classes,
    )
    folder = data_folder(data_dir, "mnist")
    if not isinstance(name, str) or not name:
        raise UserError(f"need a name for the data, such as mnist, got name={name!r}")
    whole, test = _read_pair(folder, "train", name), _read_pair(folder, "t10k", name)
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
    return classification(*transforms(train, validation, test), num_outputs=transforms.outputs(_CLASSES))


def _read_pair(folder: Path, part: str, name: str) -> Split:
    images_path, labels_path = (_locate(folder, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    images, labels = read_idx(images_path, dims=3), read_idx(labels_path, dims=1)
    if len(images) != len(labels):
        raise UserError(
            f"{labels_path}: need a label for each of {len(images)} images, got {len(labels)}: {_again(labels_path)}"
        )
    if labels.max() >= _CLASSES:
        raise UserError(f"{labels_path}: need labels from 0 to 9, got {int(labels.max())}: {_again(labels_path)}")
    for path, content in ((images_path, images), (labels_path, labels)):
        header = struct.pack(f">{1 + content.ndim}I", 0x0800 + content.ndim, *content.shape)
        found = hashlib.md5(header + content.numpy().tobytes(), usedforsecurity=False).hexdigest()
        if name == "mnist" and found != _MD5[path.name.removesuffix(".gz")]:
            raise UserError(f"{path}: need the published file, got other data: name them, dataset.name=...")
    return Split(images.unsqueeze(1).float() / 255, labels.long())


def _locate(folder: Path, name: str) -> Path:
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.exists():
        return plain
    if not packed.exists():
        with locked(folder.parent / f".{folder.name}.lock", purpose="downloads the same data", setting="data_dir"):
            if not packed.exists():
                place = f"{', '.join(f'{each}.gz' for each in _MD5)} into {folder}"
                urls = [f"{mirror}{name}.gz" for mirror in _MIRRORS]
                write_data(packed, download(urls, md5=_MD5[name], size=_LARGEST, place=place, packed=True))
    return packed


def _again(path: Path) -> str:
    return f"delete {path.name} so that it is fetched again"
