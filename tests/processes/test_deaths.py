"""A worker or a machine that dies in the middle of a sweep."""

import os
import re
import subprocess
import time

import pytest

from tests.support.sweeps import command, records, rows, run, run_here


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "reason"),
    [
        ("joblib", r"the worker died \(signal 9\)"),
        pytest.param("submitit_local", r"the job died, see .*\.submitit/\d+/\d+_0_log\.err", marks=pytest.mark.nightly),
        pytest.param(
            "ray hydra.launcher.retries=0",
            r"the worker died \(WorkerCrashedError, 0 retries\)",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_dead_worker_loses_its_run_only(tmp_path, undisturbed, mortal, capsys, launcher, reason):
    arguments = f"hydra/launcher={launcher}".split()
    done = run(tmp_path, *arguments, **mortal)
    assert done.returncode == 1
    (dead,) = {1, 2, 3} - records(tmp_path).keys()
    assert re.fullmatch(rf"\[\d/3, +\d+ s left\]  error: {reason}: lora rank={dead} seed=0\n", done.stderr)
    assert re.search(f"failed: {reason}", " ".join(rows(done.stdout)[dead]))
    assert [rank for rank, row in rows(done.stdout).items() if row[-1] == "finished"] == sorted({1, 2, 3} - {dead})
    assert run_here(tmp_path) == 0
    assert capsys.readouterr().out.count("(skipped: already there)") == 2
    assert records(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.nightly  # by day: the dead worker of joblib above, and batches in test_replicas_in_sweeps
def test_a_dead_batch_is_several_failures(tmp_path, mortal):
    sweep = ["hydra/launcher=joblib", "rank=1", "seed=0,1,2", "replicas=2"]
    done = run(tmp_path, *sweep, **mortal, TOGETHER="1")
    assert done.returncode == 1
    failures = re.findall(
        r"^\[\d/3, .* left\]  error: the worker died \(signal 9\): lora rank=1 seed=(\d)$", done.stderr, re.MULTILINE
    )
    assert failures == ["0", "1"]
    assert [line.endswith("failed: the worker died (signal 9)") for line in done.stdout.splitlines()[-3:]] == [
        True,
        True,
        False,
    ]
    again = run(tmp_path, *sweep, **mortal, TOGETHER="1")
    assert (again.returncode, again.stdout.count("(skipped: already there)")) == (0, 1)


@pytest.mark.slow
@pytest.mark.nightly
def test_ray_begins_a_dead_run_again(tmp_path, undisturbed, mortal):
    done = run(tmp_path, "hydra/launcher=ray", **mortal)
    assert (done.returncode, done.stderr) == (0, "")
    assert not os.path.exists(mortal["DEADLY"])
    assert records(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.nightly
def test_two_nodes_one_dies(tmp_path, undisturbed):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        sweep = ["hydra/launcher=ray", f"hydra.launcher.address={cluster.address}", "checkpoint_seconds=0"]
        process = subprocess.Popen(
            command(tmp_path, *sweep, "epochs=400"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until = time.monotonic() + 120
        while len(list(tmp_path.glob("*/*/state.safetensors"))) < 2:  # one on each node
            assert time.monotonic() < until, process.poll()
            time.sleep(0.02)
        before = set(tmp_path.glob("*/*/record.json"))
        cluster.remove_node(node, allow_graceful=False)
        _, err = process.communicate(timeout=400)
        said = [line for line in err.splitlines() if not re.fullmatch(r"\d of 3 jobs ended, \d under way", line)]
        assert (process.returncode, said, before) == (0, [], set())  # a slow machine is told to be patient
    finally:
        cluster.shutdown()
    basic = tmp_path / "basic"
    assert run_here(basic, "epochs=400", "checkpoint_seconds=0") == 0
    assert records(tmp_path) == records(basic)
    assert sorted(records(tmp_path)) == [1, 2, 3]
