"""CIFAR-10: reading, refusing and downloading its files, with small made-up ones."""

import hashlib
import io
import tarfile
import urllib.error
import urllib.request

import numpy as np
import pytest

from intrinsic.data import cifar10 as cifar10_module
from intrinsic.data.cifar10 import cifar10
from intrinsic.errors import UserError
from tests.support.images import PLAIN

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture
def batches():
    generator = np.random.default_rng(0)
    result = {}
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        records = generator.integers(0, 256, (4, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        result[name] = records.tobytes()
    return result


def put_batches(folder, batches):
    (folder / "cifar-10-batches-bin").mkdir()
    for name, content in batches.items():
        (folder / "cifar-10-batches-bin" / name).write_bytes(content)


def test_cifar10_reads_records(tmp_path, batches):
    put_batches(tmp_path, batches)
    task = cifar10(data_dir=str(tmp_path), **PLAIN)
    assert [len(split) for split in (task.train, task.validation, task.test)] == [18, 2, 4]
    assert task.input_shape == (3, 32, 32)
    last = batches["data_batch_5.bin"][-3073:]
    assert task.validation.targets[-1] == last[0]
    green = np.frombuffer(last[1 + 1024 : 1 + 2048], dtype=np.uint8).reshape(32, 32)
    assert np.array_equal(task.validation.inputs[-1, 1].numpy(), green.astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            b"\0" * 3074,
            "data_batch_3.bin: need records of 3073 bytes, at least one, got 3074 bytes: delete data_batch_3",
        ),
        (b"", "data_batch_3.bin: need records of 3073 bytes, at least one, got 0 bytes"),
        (b"\x0a" + b"\0" * 3072, "data_batch_3.bin: need labels from 0 to 9, got 10: delete data_batch_3.bin"),
    ],
)
def test_cifar10_bad_file(tmp_path, batches, content, match):
    put_batches(tmp_path, {**batches, "data_batch_3.bin": content})
    with pytest.raises(UserError, match=match):
        cifar10(data_dir=str(tmp_path), **PLAIN)


def test_cifar10_too_few_records(tmp_path, batches):
    put_batches(tmp_path, {name: content[:3073] for name, content in batches.items()})
    with pytest.raises(UserError, match="need at least 10 training images, got 5"):
        cifar10(data_dir=str(tmp_path), **PLAIN)


def test_cifar10_unreadable(tmp_path, batches):
    put_batches(tmp_path, batches)
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").mkdir()
    with pytest.raises(UserError, match=r"test_batch\.bin: cannot be read"):
        cifar10(data_dir=str(tmp_path), **PLAIN)


def test_cifar10_takes_only_what_is_absent_from_the_archive(tmp_path, batches, monkeypatch):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {**batches, "../../evil": b"evil", "readme.html": b"unwanted"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    found = hashlib.md5(buffer.getvalue(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(cifar10_module, "_MD5", found)
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", lambda self, url, timeout: Response(buffer.getvalue()))
    folder = tmp_path / "data"
    folder.mkdir()
    own = b"\1" * 3073
    put_batches(folder, {"data_batch_2.bin": own})
    task = cifar10(data_dir=str(folder), **PLAIN)
    assert [len(split) for split in (task.train, task.validation, task.test)] == [16, 1, 4]
    assert {path.name for path in tmp_path.rglob("*")} == {"data", "cifar-10-batches-bin", *batches}
    assert (folder / "cifar-10-batches-bin" / "data_batch_2.bin").read_bytes() == own


class Response(io.BytesIO):
    def __init__(self, content):
        super().__init__(content)
        self.headers = {"Content-Length": str(len(content))}
