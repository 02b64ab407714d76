"""Kills at random moments: no run that finished is lost or done again, and the records are those of a calm sweep.

Three every day, and by night forty-two, with ten of test_killed_search.
"""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.support.sweeps import command, records, run_here

SECONDS = 6.0  # how long after its start a sweep is killed, at most: from its first lines to its last run


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    output = tmp_path_factory.mktemp("calm")
    assert run_here(output, "checkpoint_seconds=0") == 0
    return records(output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "count"),
    [
        ("joblib", 3),
        *(pytest.param(name, 14, marks=pytest.mark.nightly) for name in ("basic", "joblib", "submitit_local")),
    ],
)
def test_no_finished_run_is_lost(launcher, count, calm, tmp_path):
    arguments = [f"hydra/launcher={launcher}", "checkpoint_seconds=0"]
    draw, kills, round_, kept = random.Random(launcher), 0, 0, {}  # noqa: S311
    while kills < count:
        output = tmp_path / str(round_)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command(output, *arguments), start_new_session=True, **quiet)
        try:
            process.wait(draw.uniform(0.3, SECONDS))
        except subprocess.TimeoutExpired:
            kills += 1
            if draw.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)  # with its workers
            else:
                process.kill()  # which notice, and end
            process.wait()
        else:
            assert process.returncode == 0
            round_ += 1  # nothing is left to kill: anew
        kept |= {path: path.read_bytes() for path in tmp_path.glob("*/*/*/record.json") if path not in kept}
    time.sleep(1)  # a worker whose sweep was killed may still write a record that it had begun
    for each in range(round_ + 1):
        assert run_here(tmp_path / str(each), "checkpoint_seconds=0") == 0  # what is missing
        assert records(tmp_path / str(each)) == calm
    assert all(path.read_bytes() == content for path, content in kept.items())
