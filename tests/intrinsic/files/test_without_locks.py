"""Files on a system that has no locks of folders, as Windows has none."""

import importlib
import os
import sys
import time

import pytest

import intrinsic.files.folder_lock as folder_lock
from intrinsic.files.atomic import write_atomically, write_together


@pytest.fixture(autouse=True)
def without_fcntl(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "fcntl", None)
        again = importlib.util.module_from_spec(folder_lock.__spec__)
        folder_lock.__spec__.loader.exec_module(again)
    assert again.fcntl is None
    monkeypatch.setattr(folder_lock, "fcntl", again.fcntl)


def text(content):
    return lambda path: path.write_text(content)


def test_files_are_written(tmp_path):
    write_atomically(tmp_path / "one", text("a"))
    write_together({tmp_path / "two": text("b"), tmp_path / "three": text("c")})
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {
        "one": "a",
        "two": "b",
        "three": "c",
    }


def test_leftovers_stay_for_a_day(tmp_path):
    from intrinsic.files import partial

    left = tmp_path / f".partial-intrinsic-{partial._machine()}-abc"
    left.mkdir()
    write_atomically(tmp_path / "one", text("a"))
    assert left.exists()
    os.utime(left, times=(time.time() - 90_000,) * 2)
    write_atomically(tmp_path / "one", text("a"))
    assert os.listdir(tmp_path) == ["one"]
