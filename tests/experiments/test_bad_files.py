"""Every damaged or absent file ends in one line that names it and the remedy, and leaves nothing behind."""

import gzip
import shutil
import struct

import pytest
import torch
from safetensors.torch import save_file

from intrinsic.files.tensors import read_tensors, write_tensors
from tests.support.commands import QUICK
from tests.support.configs import files

pytestmark = pytest.mark.usefixtures("surroundings")


def idx(shape, *, magic=None, cut=0):
    content = struct.pack(f">{1 + len(shape)}I", magic or 0x0800 + len(shape), *shape) + bytes(
        torch.Size(shape).numel()
    )
    return content[: len(content) - cut]


MNIST = {
    "train-images-idx3-ubyte": idx((60, 28, 28)),
    "train-labels-idx1-ubyte": idx((60,)),
    "t10k-images-idx3-ubyte": idx((20, 28, 28)),
    "t10k-labels-idx1-ubyte": idx((20,)),
}


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        (
            "train-images-idx3-ubyte",
            idx((60, 28, 28), cut=1),
            "need 60 x 28 x 28 > 0 bytes .* got 47039: delete train-",
        ),
        ("train-images-idx3-ubyte", idx((60, 28, 28), magic=7), "need magic number 2051, got 7: delete train-images"),
        ("train-labels-idx1-ubyte", idx((59,)), "need a label for each of 60 images, got 59: delete train-labels"),
        (
            "t10k-images-idx3-ubyte.gz",
            gzip.compress(idx((20, 28, 28)), mtime=0)[:-9],
            "need an undamaged gzip file, .*: delete",
        ),
    ],
)
def test_damaged_mnist(refused, tmp_path, name, content, match):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for each, good in MNIST.items():
        if each != name.removesuffix(".gz"):
            (folder / each).write_bytes(good)
    (folder / name).write_bytes(content)
    refused(f"dataset=mnist dataset.name=other init=scratch data_dir={tmp_path}/data", f"{folder / name}: {match}")


def test_absent_data_without_a_network(refused, tmp_path):
    match = f"cannot download .*no network.*: put train-images-.* into {tmp_path}/data/mnist yourself"
    refused(f"dataset=mnist init=scratch data_dir={tmp_path}/data", match)
    assert not files(tmp_path / "data")


def test_damaged_cifar10(refused, tmp_path):
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        (folder / name).write_bytes(bytes(4 * 3073))
    (folder / "data_batch_3.bin").write_bytes(bytes(3074))
    match = "data_batch_3.bin: need records of 3073 bytes, at least one, got 3074 bytes: delete data_batch_3.bin"
    refused(f"dataset=cifar10 init=scratch data_dir={tmp_path}/data", match)


def test_damaged_pretrained_model(refused, output, tmp_path):
    shutil.copytree(output / ".pretrained", tmp_path / "out" / ".pretrained")
    (path,) = (tmp_path / "out" / ".pretrained").iterdir()
    path.write_bytes(path.read_bytes()[:-50])
    refused("seed=1", f"{path} is damaged or not a safetensors file: .*; delete it to pretrain again", tmp_path / "out")


@pytest.fixture
def finished(program, tmp_path):
    """The folder of a finished run of `QUICK`."""
    assert program(QUICK, tmp_path / "out")[0] == 0
    (record,) = (tmp_path / "out").rglob("record.json")
    return record.parent


@pytest.mark.parametrize("content", ["", '{"format": 1, "stat', "[]", '{"format": 99}'])
def test_damaged_record(refused, tmp_path, finished, content):
    (finished / "record.json").write_text(content)
    match = f"{finished}/record.json (cannot be read .*|is not a record|has format 99, need 1): delete it to run again"
    refused(QUICK, match, tmp_path / "out")


def test_damaged_state(refused, program, tmp_path, finished):
    (finished / "record.json").unlink()
    state = finished / "state.safetensors"
    again = "; delete it to start this run again"
    state.write_bytes(b"damaged")
    refused(QUICK, f"{state} is damaged or not a safetensors file: .*{again}", tmp_path / "out")
    save_file({"weight": torch.zeros(3)}, state)
    refused(QUICK, f"{state} was not written by intrinsic{again}", tmp_path / "out")
    shutil.copy(finished / "trained.safetensors", state)
    refused(
        QUICK,
        f"{state} is not a checkpoint of a run, or of an earlier version of this program{again}",
        tmp_path / "out",
    )
    tensors, metadata = read_tensors(state)
    foreign = {"fingerprint": "0", "history": [], "seconds": 0, "optimizer": {}, "run_id": finished.name}
    write_tensors(state, tensors, metadata | foreign)
    refused(QUICK, f"{state} belongs to another model{again}", tmp_path / "out")
    state.unlink()
    assert program(QUICK, tmp_path / "out")[0] == 0
