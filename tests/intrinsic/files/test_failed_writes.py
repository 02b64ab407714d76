"""Writers that fail halfway, and writers that meet."""

import errno
import os
import resource
import signal
import stat
import tempfile
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
from safetensors.numpy import save_file

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically, write_folder, write_together
from tests.support.configs import files
from tests.support.forked import forked


def text(content):
    return lambda path: path.write_text(content)


def pair(folder, content):
    return {folder / "weights": text(content), folder / "config": text(content)}


def found_pair(folder):
    return [path.read_text() if path.exists() else None for path in (folder / "weights", folder / "config")]


@pytest.mark.parametrize("name", ["loop/file", "file/file", "nul\0", "half\ud800", "n" * 256])
def test_a_place_where_no_file_can_be(name, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for write in (write_atomically, write_folder):
        with pytest.raises(UserError, match=r"^cannot write to .*: .*; give another path$") as raised:
            write(tmp_path / name, text("new"))
        assert str(raised.value).isprintable()
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]


def test_a_read_only_folder():
    """Root writes into any folder, and so becomes nobody."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "old").write_text("old")
        os.chmod(folder, 0o555)  # noqa: S103  # nobody is to read it

        def refused():
            if os.getuid() == 0:
                os.setuid(65534)
            for path in (folder / "old", folder / "new", folder / "deeper" / "new"):
                with pytest.raises(UserError, match=rf"^cannot write to {folder}.*: Permission denied; give another"):
                    write_atomically(path, text("new"))

        assert forked(refused) == 0
        assert files(folder) == {folder / "old": b"old"}
        assert os.listdir(folder) == ["old"]


def test_two_names_of_one_file(tmp_path):
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(UserError, match=r"link: it is another name of a file that is written too; give another path"):
        write_together({tmp_path / "file": text("a"), tmp_path / "link": text("b")})
    assert os.listdir(tmp_path) == ["link"]


# of three that are there the last is taken away first; of none there are three renames
@pytest.mark.parametrize(
    ("before", "failing"), [*(("old", each) for each in range(1, 5)), *((None, each) for each in range(1, 4))]
)
def test_an_error_at_any_step_leaves_the_old_ones(before, failing, tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("weights", "vocabulary", "config")]
    for path in paths:
        if before is not None:
            path.write_text(before)
    replace, left = os.replace, failing

    def stuck(source, target):
        nonlocal left
        left -= 1
        if not left:
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", stuck)
    with pytest.raises(UserError, match=r"^cannot write to .*/config: Input/output error; give another path$"):
        write_together(dict.fromkeys(paths, text("new")))
    assert files(tmp_path) == ({} if before is None else dict.fromkeys(paths, before.encode()))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_writers_of_one_place_leave_what_one_of_them_wrote(kind, tmp_path):
    size, rounds = 50_000, 10
    together, done = Barrier(2), []

    def write(letter):
        for _ in range(rounds):
            if kind == "threads":
                together.wait(20)
            write_atomically(tmp_path / "file", text(letter * size))
            write_together(pair(tmp_path, letter * size))
        done.append(letter)

    if kind == "threads":
        threads = [Thread(target=write, args=(letter,)) for letter in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(done) == ["a", "b"]
    else:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(forked(lambda: write("a")) != 0)
        write("b")
        assert os.waitpid(child, 0)[1] == 0
    whole = ("a" * size, "b" * size)
    assert (tmp_path / "file").read_text() in whole
    weights, config = found_pair(tmp_path)
    assert weights == config
    assert weights in whole
    assert sorted(os.listdir(tmp_path)) == ["config", "file", "weights"]


def test_a_disk_that_is_full_halfway(tmp_path):
    """As far as a limit on the size of a file can stand for one."""
    tensors = {"a": np.zeros(10_000)}
    (tmp_path / "file").write_text("old")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for write in (text("x" * 2000), lambda path: save_file(tensors, path)):
            with pytest.raises(UserError, match=r"^cannot write to .*/file: .*File too large.*; give another path$"):
                write_atomically(tmp_path / "file", write)

    assert forked(limited) == 0
    assert files(tmp_path) == {tmp_path / "file": b"old"}
    assert os.listdir(tmp_path) == ["file"]


def test_a_device_that_is_always_full(tmp_path):
    with pytest.raises(UserError, match=r"^cannot write to .*/file: No space left on device; give another path$"):
        write_atomically(tmp_path / "file", lambda path: Path("/dev/full").write_text("new"))
    assert os.listdir(tmp_path) == []
    with pytest.raises(UserError, match=r"^cannot write to /dev/full: it is not a regular file; give another path$"):
        write_atomically(Path("/dev/full"), text("new"))
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_what_the_library_writes_keeps_links_and_refuses_devices(tmp_path):
    import torch

    import intrinsic

    def model():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))

    net = intrinsic.Subspace(model(), space=intrinsic.LoRA(1, targets="all-linear"), head="freeze")
    (tmp_path / "model").symlink_to("deeper/model")
    (tmp_path / "adapter").symlink_to("deeper/adapter")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "adapter").mkdir()
    (tmp_path / "deeper" / "adapter" / "adapter_config.json").symlink_to("../config")
    intrinsic.save(net, tmp_path / "model")
    intrinsic.export_peft(net, tmp_path / "adapter")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_symlink()) == [
        "adapter",
        "adapter_config.json",
        "model",
    ]
    assert intrinsic.load(model(), tmp_path / "deeper" / "model").dim == net.dim
    assert b"lora_alpha" in (tmp_path / "deeper" / "config").read_bytes()
    for device in ("/dev/null", "/dev/full"):
        kind = stat.S_IFMT(os.stat(device).st_mode)
        (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
        (tmp_path / "adapter" / "adapter_model.safetensors").symlink_to(device)
        with pytest.raises(
            UserError, match=rf"^cannot write to {device}: it is not a regular file; give another path$"
        ):
            intrinsic.save(net, device)
        with pytest.raises(UserError, match=r"safetensors: it is not a regular file; give another folder$"):
            intrinsic.export_peft(net, tmp_path / "adapter")
        assert stat.S_IFMT(os.stat(device).st_mode) == kind == stat.S_IFCHR
