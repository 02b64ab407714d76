"""A lock that keeps processes apart, and dies with the one that holds it."""

import subprocess
import sys
from pathlib import Path

import pytest

from intrinsic.errors import UserError
from intrinsic.files.lock import locked

COUNT = """
import sys
from pathlib import Path
from intrinsic.files.lock import locked
count = Path(sys.argv[1])
for _ in range(20):
    with locked(count.with_name("lock"), purpose="counts", setting="output"):
        count.write_text(str(int(count.read_text()) + 1))
"""
HOLD = """
import sys, time
from pathlib import Path
from intrinsic.files.lock import locked
with locked(Path(sys.argv[1]), purpose="holds", setting="output"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_no_two_hold_it_at_once(tmp_path):
    (tmp_path / "count").write_text("0")
    program = [sys.executable, "-c", COUNT, str(tmp_path / "count")]
    processes = [subprocess.Popen(program, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(timeout=200) for process in processes] == [0] * 4
    assert (tmp_path / "count").read_text() == "80"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_it_dies_with_its_process(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        process.kill()
    assert path.exists()
    with locked(path, purpose="holds", setting="output"):
        assert path.exists()
    assert not path.exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    Path(tmp_path, "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot write .*file/lock: .* another folder with output="),
        locked(tmp_path / "file" / "lock", purpose="holds", setting="output"),
    ):
        pass
