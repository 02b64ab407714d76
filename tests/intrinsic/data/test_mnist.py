"""MNIST: reading, refusing and downloading its files, with small made-up ones."""

import gzip
import hashlib
import io
import struct
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch

from intrinsic.data import mnist as mnist_module
from intrinsic.data.mnist import mnist
from intrinsic.errors import UserError
from tests.support import images

pytestmark = pytest.mark.usefixtures("offline")

PLAIN = {"name": "synthetic", **images.PLAIN}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def splits(task):
    return task.train, task.validation, task.test


def same(task, other):
    pairs = zip(splits(task), splits(other), strict=True)
    return all(torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) for a, b in pairs)


def idx(array, magic=None):
    return struct.pack(f">{1 + array.ndim}I", magic or 0x0800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def contents():
    generator = np.random.default_rng(0)
    result = {}
    for part, count in (("train", 60), ("t10k", 20)):
        result[f"{part}-images-idx3-ubyte"] = idx(generator.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        result[f"{part}-labels-idx1-ubyte"] = idx(generator.integers(0, 10, count, dtype=np.uint8))
    return result


def put(folder, contents, *, packed=False):
    (folder / "mnist").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / "mnist" / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)


def load(folder, **options):
    return mnist(data_dir=str(folder), **{**PLAIN, **options})


def test_mnist_packed_and_plain_files_are_equal(tmp_path, contents):
    put(tmp_path / "plain", contents)
    put(tmp_path / "packed", contents, packed=True)
    task = load(tmp_path / "plain")
    assert same(task, load(tmp_path / "packed"))
    assert task.files == [f"mnist/{name}" for name in mnist_module._MD5]
    assert load(tmp_path / "packed").files[0] == f"mnist/{IMAGES}.gz"
    assert [len(split) for split in splits(task)] == [50, 10, 20]
    pixels = np.frombuffer(contents[IMAGES][16:], dtype=np.uint8).reshape(60, 1, 28, 28)
    assert np.array_equal(task.validation.inputs.numpy(), pixels[50:].astype(np.float32) / 255)
    assert task.train.targets.tolist() == list(contents[LABELS][8:58])


def test_mnist_folder_comes_from_the_environment_and_then_the_cache(tmp_path, contents, monkeypatch):
    put(tmp_path / "environment", contents)
    put(tmp_path / ".cache" / "intrinsic", {**contents, IMAGES: idx(ZEROS)})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("INTRINSIC_DATA", raising=False)
    assert not mnist(data_dir=None, **PLAIN).train.inputs.any()
    monkeypatch.setenv("INTRINSIC_DATA", str(tmp_path / "environment"))
    from_environment = mnist(data_dir=None, **PLAIN)
    assert from_environment.train.inputs.any()
    assert same(mnist(data_dir="~/environment", **PLAIN), from_environment)
    assert not mnist(data_dir="~/.cache/intrinsic", **PLAIN).train.inputs.any()  # the option comes first
    with pytest.raises(UserError, match="need data_dir as the path of a folder, or null, got data_dir=5"):
        mnist(data_dir=5, **PLAIN)


ZEROS = np.zeros((60, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        (IMAGES, idx(ZEROS, magic=2049), "need magic number 2051, got 2049"),
        (LABELS, idx(ZEROS[:, 0, 0], magic=7), "need magic number 2049, got 7"),
        (IMAGES, idx(ZEROS)[:-1], "need 60 x 28 x 28 > 0 bytes after the header, got 47039"),
        (IMAGES, idx(ZEROS) + b"0", "need 60 x 28 x 28 > 0 bytes after the header, got (47041|more)"),
        (IMAGES, idx(ZEROS[:0]), "need 0 x 28 x 28 > 0 bytes after the header, got 0"),
        (IMAGES, b"\0\0\x08", "need a header of 16 bytes, got 3 bytes"),
        (LABELS, b"", "need a header of 8 bytes, got 0 bytes"),
        (LABELS, idx(ZEROS[:59, 0, 0]), "need a label for each of 60 images, got 59"),
        (LABELS, idx(ZEROS[:, 0, 0] + np.uint8(10)), "need labels from 0 to 9, got 10"),
        (IMAGES, idx(ZEROS[:, :27]), "need training and test images of one size, got 27 x 28 and 28 x 28"),
    ],
)
def test_mnist_bad_file(tmp_path, contents, name, content, match):
    for packed in (False, True):
        folder = tmp_path / str(packed)
        put(folder, {**contents, name: content}, packed=packed)
        with pytest.raises(UserError, match=match) as caught:
            load(folder)
        assert str(folder / "mnist") in str(caught.value)
        assert "delete" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"not gzip", lambda b: b[:40] + b"\xff" * 9 + b[49:]])
def test_mnist_damaged_gzip(tmp_path, contents, damage):
    put(tmp_path, contents, packed=True)
    path = tmp_path / "mnist" / f"{IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"{IMAGES}\.gz: need an undamaged gzip file, .*: delete {IMAGES}\.gz so that"):
        load(tmp_path)


def test_mnist_too_few_images(tmp_path, contents):
    put(tmp_path, {**contents, IMAGES: idx(ZEROS[:5]), LABELS: idx(ZEROS[:5, 0, 0])})
    with pytest.raises(UserError, match="need at least 6 training images, got 5"):
        load(tmp_path)


def test_mnist_unreadable(tmp_path, contents):
    put(tmp_path, contents)
    (tmp_path / "mnist" / LABELS).unlink()
    (tmp_path / "mnist" / LABELS).mkdir()
    with pytest.raises(UserError, match=f"{LABELS}: cannot be read"):
        load(tmp_path)


class Response(io.BytesIO):
    def __init__(self, content):
        super().__init__(content)
        self.headers = {"Content-Length": str(len(content))}


def test_mnist_takes_the_next_mirror_after_a_failure_and_a_wrong_checksum(tmp_path, contents, monkeypatch, capsys):
    sums = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(mnist_module, "_MD5", sums)
    asked = []

    def urlopen(self, url, timeout):
        asked.append(url)
        assert timeout == 20
        mirror, name = url.rsplit("/", 1)
        if "ossci" in mirror:
            if "labels" in name:
                return Response(gzip.compress(b"another file"))
            if "t10k" in name:
                return Response(b"cut off")
            raise TimeoutError("timed out")
        return Response(gzip.compress(contents[name.removesuffix(".gz")]))

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", urlopen)
    task = load(tmp_path)
    assert len(asked) == 8
    assert asked[0] == "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz"
    assert asked[1] == "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz"
    assert "MB" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(f"{name}.gz" for name in contents)
    assert same(task, load(tmp_path))
    assert len(asked) == 8  # the second time nothing is fetched


def test_wrong_checksum_everywhere_names_both_sums(tmp_path, monkeypatch):
    monkeypatch.setattr(
        urllib.request.OpenerDirector, "open", lambda self, url, timeout: Response(gzip.compress(b"another file"))
    )
    found = hashlib.md5(b"another file", usedforsecurity=False).hexdigest()
    with pytest.raises(UserError, match=f"MD5 {found} instead of 6bbc9ace898e44ae57da46a324031adb"):
        load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_unwritable_folder(tmp_path, contents, monkeypatch):
    sums = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(mnist_module, "_MD5", sums)
    monkeypatch.setattr(
        urllib.request.OpenerDirector, "open", lambda self, url, timeout: Response(gzip.compress(contents[IMAGES]))
    )
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*; choose another folder with data_dir"):
        load(tmp_path / "file")


def test_other_data_need_a_name_of_their_own(tmp_path, contents):
    """Else their runs would have the ids of MNIST's."""
    put(tmp_path, contents)
    with pytest.raises(UserError, match=r"need the published file, got other data: name them, dataset\.name="):
        load(tmp_path, name="mnist")
    with pytest.raises(UserError, match="need a name for the data, such as mnist, got name=None"):
        load(tmp_path, name=None)
