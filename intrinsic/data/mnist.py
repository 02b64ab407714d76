"""MNIST, and what comes in its file format (KMNIST, ...)."""

from pathlib import Path

from intrinsic.data.idx import IdxFiles, idx_task
from intrinsic.data.transforms import Transforms
from intrinsic.data.with_transforms import with_transforms
from intrinsic.errors import UserError
from intrinsic.files.data_folder import data_folder
from intrinsic.tasks.task import Task

_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_MD5 = {  # of the unpacked files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_LARGEST = 50_000_000  # bytes of a published file, unpacked: 47 million


@with_transforms
def mnist(*, data_dir: str | Path | None, name: str, transforms: Transforms) -> Task:
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
    folder = data_folder(data_dir, "mnist")
    if not isinstance(name, str) or not name:
        raise UserError(f"need a name for the data, such as mnist, got name={name!r}")
    others = "name them, dataset.name=..." if name == "mnist" else None
    return idx_task(folder, IdxFiles(_MD5, "md5", _MIRRORS, _LARGEST), transforms, others=others)
