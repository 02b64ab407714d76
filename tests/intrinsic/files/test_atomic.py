"""Files that are whole or absent, in places of every kind."""

import errno
import os
import stat
from pathlib import Path

import pytest
from safetensors import SafetensorError

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically, write_folder, write_together
from intrinsic.files.data_folder import write_data as write_data
from tests.support.atomic_writes import text
from tests.support.configs import files


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_links_stay_and_lead_to_what_was_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "target").write_text("old")
    (tmp_path / "link").symlink_to("there/target")
    (tmp_path / "links").symlink_to("link")
    (tmp_path / "dangling").symlink_to("there/new/file")
    write_atomically(tmp_path / "links", text("new"))
    write_atomically(tmp_path / "dangling", text("made"))
    assert os.readlink(tmp_path / "links") == "link"
    assert os.readlink(tmp_path / "link") == "there/target"
    assert os.readlink(tmp_path / "dangling") == "there/new/file"
    assert (tmp_path / "there" / "target").read_text() == "new"
    assert (tmp_path / "there" / "new" / "file").read_text() == "made"
    assert sorted(os.listdir(tmp_path / "there")) == ["new", "target"]


def make_pipe(path):
    os.mkfifo(path)


def make_link_to_a_device(path):
    path.symlink_to("/dev/null")


def make_link_to_a_folder(path):
    path.symlink_to(path.parent)


def make_loop(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "it is not a regular file"),
        (make_pipe, "it is not a regular file"),
        (make_link_to_a_device, "it is not a regular file"),
        (make_link_to_a_folder, "it is not a regular file"),
        (make_loop, "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_regular_file_stays(make, reason, tmp_path):
    path = tmp_path / "place"
    make(path)
    before = os.lstat(path)
    for write in (
        write_atomically,
        lambda path, content: write_together({path.with_name("a"): content, path: content}),
    ):
        with pytest.raises(UserError, match=rf"^cannot write to {path}: {reason}; give another path$"):
            write(path, text("new"))
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.listdir(tmp_path) == ["place"]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_are_those_of_any_file(mask, tmp_path):
    """Also where the writer makes the file anew, and for itself alone, as safetensors does."""

    def private(path):
        path.unlink()
        os.close(os.open(path, os.O_CREAT, 0o600))

    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "new", private)
        write_folder(tmp_path / "folder", lambda folder: private_in(folder, private))
        for bits in (0o600, 0o640, 0o444):
            (tmp_path / f"old{bits}").touch()
            os.chmod(tmp_path / f"old{bits}", bits)
            write_atomically(tmp_path / f"old{bits}", private)
            assert mode(tmp_path / f"old{bits}") == bits
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == mode(tmp_path / "folder" / "file") == 0o666 & ~mask
    assert mode(tmp_path / "folder") == 0o777 & ~mask


def private_in(folder, private):
    (folder / "file").touch()
    private(folder / "file")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_file_of_another_owner_stays_theirs(tmp_path):
    (tmp_path / "theirs").touch()
    os.chown(tmp_path / "theirs", 12345, 12346)
    write_atomically(tmp_path / "theirs", text("new"))
    found = (tmp_path / "theirs").stat()
    assert (found.st_uid, found.st_gid) == (12345, 12346)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No\nspace left")])
def test_the_first_error_is_told_and_nothing_stays(error, tmp_path, monkeypatch):
    """Also where nothing can be removed any more."""
    (tmp_path / "file").write_text("old")

    def fail(path):
        Path(path).joinpath("inside" if path.is_dir() else "").touch()
        raise error

    calls = [
        lambda: write_atomically(tmp_path / "file", fail, remedy="do this"),
        lambda: write_together({tmp_path / "other": text("new"), tmp_path / "file": fail}, remedy="do this"),
        lambda: write_folder(tmp_path / "folder", fail, remedy="do this"),
    ]
    for call in calls:
        with pytest.raises(UserError, match=r"^cannot write to .*/(file|folder): No space left.*; do this$"):
            call()
        assert files(tmp_path) == {tmp_path / "file": b"old"}
        assert os.listdir(tmp_path) == ["file"]

    def read_only(*_args, **_kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("unlink", "rmdir", "remove"):
        monkeypatch.setattr(os, name, read_only)
    with pytest.raises(UserError, match=r"^cannot write to .*/file: No space left.*; do this$"):
        calls[0]()


def test_an_interrupt_stays_one(tmp_path):
    def interrupted(path):
        raise KeyboardInterrupt("by hand")

    with pytest.raises(KeyboardInterrupt, match="by hand"):
        write_atomically(tmp_path / "file", interrupted)
    assert os.listdir(tmp_path) == []


def test_an_error_among_several_leaves_the_old_ones(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("weights", "config")]
    for path in paths:
        path.write_text("old")
    replace = os.replace

    def stuck(source, target):
        if Path(target).name == "weights":
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", stuck)
    with pytest.raises(UserError, match=r"^cannot write to .*config: Device or resource busy; give another path$"):
        write_together(dict.fromkeys(paths, text("new")))
    assert files(tmp_path) == dict.fromkeys(paths, b"old")


def test_a_file_system_without_syncs_does_not_matter_and_a_broken_disk_does(tmp_path, monkeypatch):
    def fails_with(number):
        def fsync(descriptor):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    fails_with(errno.EINVAL)
    write_atomically(tmp_path / "file", text("new"))
    assert (tmp_path / "file").read_text() == "new"
    fails_with(errno.EIO)
    with pytest.raises(UserError, match=r"cannot write to .*: Input/output error; give another path"):
        write_atomically(tmp_path / "file", text("newer"))
    assert (tmp_path / "file").read_text() == "new"


def test_content_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    done = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *names: (done.append(f"name {names[1].name}"), replace(*names)))
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(Path(os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd)))
    write_atomically(tmp_path / "new" / "file", text("new"))
    shown = [each if isinstance(each, str) else each.name for each in done]
    assert shown == [tmp_path.name, "file", "name file", "new"]


def test_a_folder_is_replaced_where_that_is_asked_for(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("old")
    with pytest.raises(UserError, match="it is there already"):
        write_folder(folder, lambda new: text("new")(new / "new"))

    usual = os.rename

    def fail(source, target):
        if Path(source).name == "folder" and Path(target) == folder:  # the new one, into its place
            raise OSError(errno.EIO, "no disk")
        usual(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(UserError, match="no disk"):
            write_folder(folder, lambda new: text("new")(new / "new"), replace=True)
    assert os.listdir(folder) == ["old"]
    write_folder(folder, lambda new: text("new")(new / "new"), replace=True)
    assert (os.listdir(folder), os.listdir(tmp_path)) == (["new"], ["folder"])
