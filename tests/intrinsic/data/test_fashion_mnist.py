"""Fashion-MNIST: its own folder, its own checksums; reading is that of MNIST, in test_mnist.py."""

import gzip
import hashlib
import io
import urllib.request

import numpy as np
import pytest

from intrinsic.data import fashion_mnist as module
from intrinsic.data.fashion_mnist import fashion_mnist
from intrinsic.errors import UserError
from tests.intrinsic.data.test_mnist import idx
from tests.support import images

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture
def contents():
    generator = np.random.default_rng(0)
    return {
        f"{part}-{kind}-ubyte": idx(array)
        for part, count in (("train", 12), ("t10k", 4))
        for kind, array in (
            ("images-idx3", generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)),
            ("labels-idx1", generator.integers(0, 10, count, dtype=np.uint8)),
        )
    }


def put(folder, contents):
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def test_the_published_files_alone_are_taken(tmp_path, contents, monkeypatch):
    put(tmp_path / "fashion_mnist", contents)
    match = r"train-images-idx3-ubyte: need the published file, got other data: other files need dataset=mnist"
    with pytest.raises(UserError, match=match):
        fashion_mnist(data_dir=str(tmp_path), **images.PLAIN)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(module, "_SHA256", sums)
    task = fashion_mnist(data_dir=str(tmp_path), **images.PLAIN)
    assert [len(split) for split in (task.train, task.validation, task.test)] == [10, 2, 4]


def test_they_are_fetched_by_their_sha256(tmp_path, contents, monkeypatch):
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(module, "_SHA256", sums)
    asked = []

    def urlopen(self, url, timeout):
        asked.append(url)
        name = url.rpartition("/")[2].removesuffix(".gz")
        content = contents[name] if url.startswith("https://raw.githubusercontent.com/") else b"another file"
        response = io.BytesIO(gzip.compress(content))
        response.headers = {}
        return response

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", urlopen)
    fashion_mnist(data_dir=str(tmp_path), **images.PLAIN)
    assert len(asked) == 8
    assert sorted(path.name for path in (tmp_path / "fashion_mnist").iterdir()) == sorted(f"{n}.gz" for n in contents)


def test_a_wrong_sum_everywhere_is_one_line(tmp_path, monkeypatch):
    def urlopen(self, url, timeout):
        response = io.BytesIO(gzip.compress(b"another file"))
        response.headers = {}
        return response

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", urlopen)
    found = hashlib.sha256(b"another file").hexdigest()
    with pytest.raises(UserError, match=f"SHA256 {found} instead of c59f468a2f672dc815687fe0f8"):
        fashion_mnist(data_dir=str(tmp_path), **images.PLAIN)
