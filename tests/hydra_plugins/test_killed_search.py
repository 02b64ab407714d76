"""Stopping a search for d90 changes nothing."""

import random
import signal
import subprocess
import sys
import time

import pytest

from tests.support.commands import run, words
from tests.support.searches import SUBSPACE, found, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("surroundings")]


@pytest.mark.nightly  # by day a grid is killed, in test_kills
@pytest.mark.parametrize(("count", "runs"), [(1, 12), (10, 26)])
def test_killed_often_it_finds_the_same(count, runs, tmp_path):
    """At random moments, without warning; no run with a record is trained again."""
    settings = f"hydra.sweeper.max_runs={runs} hydra.sweeper.ratio=1.01 hydra.sweeper.batch=4"
    command = f"{SUBSPACE} study=s {settings}"

    def start(folder):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([sys.executable, *words(command, folder)], **quiet)

    assert run(command, tmp_path / "calm") == 0
    draw, kept = random.Random(0), {}  # noqa: S311
    for _ in range(count):
        process = start(tmp_path / "shaken")
        while process.poll() is None and len(list((tmp_path / "shaken").glob("*/*/record.json"))) <= len(kept):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.5))
        assert process.poll() is None, "there is something left to kill"
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept |= {path: path.read_bytes() for path in (tmp_path / "shaken").glob("*/*/record.json") if path not in kept}
    assert run(command, tmp_path / "shaken") == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert found(tmp_path / "shaken" / "s") == found(tmp_path / "calm" / "s")
    assert records(tmp_path / "shaken" / "s").keys() == records(tmp_path / "calm" / "s").keys()
