"""What killed writers leave: nothing that is half, and nothing for long."""

import errno
import os
import time

import pytest

from intrinsic.files import partial as partial_folders
from intrinsic.files.atomic import write_atomically, write_folder, write_together
from intrinsic.files.partial import partial
from tests.support.configs import files
from tests.support.forked import forked, killed_at

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch):
    """A kill takes nothing from the disk's cache."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def text(content):
    return lambda path: path.write_text(content)


def pair(folder, content):
    return {folder / "weights": text(content), folder / "config": text(content)}


def found_pair(folder):
    return [path.read_text() if path.exists() else None for path in (folder / "weights", folder / "config")]


def test_a_kill_at_every_step_leaves_no_mixture_and_nothing_for_long(tmp_path):
    folder, seen, number = tmp_path / "adapter", [], 0
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    while True:
        number += 1
        write_together(pair(folder, "old"))
        assert sorted(os.listdir(folder)) == ["README.md", "config", "weights"]  # what the kill before this one left
        killed = killed_at(number, lambda: write_together(pair(folder, "new")))
        seen.append(found_pair(folder))
        assert (folder / "README.md").read_text() == "mine"
        if not killed:
            break
    assert number > 24
    assert seen[0] == ["old", "old"]
    assert seen[-1] == ["new", "new"]
    assert all(config is None or config == weights for weights, config in seen)


def test_a_killed_export_of_a_folder_leaves_nothing_for_long(tmp_path):
    def fill(folder):
        for name in ("config", "weights"):
            (folder / name).write_text(name)

    number = 1
    while killed_at(number, lambda: write_folder(tmp_path / "model", fill)):
        assert {path.name for path in (tmp_path / "model").glob("*")} in (set(), {"config", "weights"})
        number += 1
        write_atomically(tmp_path / "other", text(""))
        assert set(os.listdir(tmp_path)) <= {"model", "other"}
        if (tmp_path / "model").exists():
            break
    assert number > 8
    assert files(tmp_path / "model") == {tmp_path / "model" / name: name.encode() for name in ("config", "weights")}


def test_what_another_writer_holds_is_no_leftover(tmp_path):
    with partial(tmp_path) as held:
        (held / "content").touch()
        write_atomically(tmp_path / "file", text("new"))
        assert forked(lambda: write_atomically(tmp_path / "file", text("newer"))) == 0
        assert (held / "content").exists()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["machine", "locks"])
def test_without_its_lock_a_leftover_stays_for_a_day(name, tmp_path, monkeypatch):
    """That of another machine, and any on a file system without locks."""

    def no_locks(*_arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    left = tmp_path / f".partial-intrinsic-{'0' * 8 if name == 'machine' else partial_folders._machine()}-abc"
    left.mkdir()
    (left / "content").touch()
    if name == "locks":
        monkeypatch.setattr("fcntl.flock", no_locks)
    write_atomically(tmp_path / "file", text("new"))
    assert left.exists()
    os.utime(left, times=(time.time() - 90_000,) * 2)
    write_atomically(tmp_path / "file", text("new"))
    assert os.listdir(tmp_path) == ["file"]


def test_what_others_call_partial_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / ".partial-mine").mkdir()
    (tmp_path / ".partial-intrinsic-00000000-link").symlink_to("mine")
    before = sorted(os.listdir(tmp_path))
    write_atomically(tmp_path / "mine" / "file", text("new"))
    with partial(tmp_path):
        pass
    assert sorted(os.listdir(tmp_path)) == before


def test_writers_that_begin_while_leftovers_are_removed(tmp_path, monkeypatch):
    """A folder that is taken for a leftover before it is locked is made anew."""
    mkdtemp, made = partial_folders.tempfile.mkdtemp, []

    def swept(*arguments, **options):
        made.append(mkdtemp(*arguments, **options))
        if len(made) == 1:
            partial_folders._remove_leftovers(tmp_path)
        return made[-1]

    monkeypatch.setattr(partial_folders.tempfile, "mkdtemp", swept)
    write_atomically(tmp_path / "file", text("new"))
    assert len(made) == 2
    assert files(tmp_path) == {tmp_path / "file": b"new"}
