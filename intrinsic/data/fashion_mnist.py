"""Fashion-MNIST, in MNIST's file format."""

from pathlib import Path

from intrinsic.data.idx import IdxFiles, idx_task
from intrinsic.data.transforms import Transforms
from intrinsic.data.with_transforms import with_transforms
from intrinsic.files.data_folder import data_folder
from intrinsic.tasks.task import Task

_MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
_SHA256 = {  # of the unpacked files
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_LARGEST = 50_000_000  # bytes of a published file, unpacked: 47 million


@with_transforms
def fashion_mnist(*, data_dir: str | Path | None, transforms: Transforms) -> Task:
    """Load photographs of clothes, ten kinds: inputs (n, 1, 28, 28) float32 in [0, 1], split 50,000 / 10,000 / 10,000.

    The four files, named as MNIST's, plain or with .gz, are read from the folder `fashion_mnist` (`data_folder` says
    where) and downloaded when absent. Debian's package `dataset-fashion-mnist` has them, too. Validation is the last
    sixth of the training file.

    Raises:
        UserError: as `Transforms`, which documents the options; as `idx_task` for the files.

    Source: Xiao, Rasul and Vollgraf 2017, Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms, arXiv:1708.07747.
    """
    folder = data_folder(data_dir, "fashion_mnist")
    files = IdxFiles(_SHA256, "sha256", _MIRRORS, _LARGEST)
    return idx_task(
        folder, files, transforms, others=f"other files need dataset=mnist and a name, in {folder.parent}/mnist"
    )
