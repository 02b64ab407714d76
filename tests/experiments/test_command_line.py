"""Command lines that went wrong without a word, or took the machine with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from intrinsic.checks import PROCESSES, THREADS, at_most
from tests.support.commands import QUICK, RUN

pytestmark = pytest.mark.usefixtures("surroundings")

REFUSED = {
    f"hydra/sweeper=threshold method=subspace {QUICK}": "hydra/sweeper=threshold is for sweeps, which -m makes: "
    "python run.py -m hydra/sweeper=threshold",
    f"hydra/launcher=joblib {QUICK}": "hydra/launcher=joblib is for sweeps",
    f"hydra.sweeper.max_batch_size=2 {QUICK}": "hydra.sweeper.max_batch_size=2 is for sweeps",
    f"rank=1,2 {QUICK}": "Ambiguous value for argument 'rank=1,2'.* add --multirun",
    "experiment=leaderboard dim=1,2 hydra.launcher.n_jobs=2": "there is no key 'hydra.launcher.n_jobs' in this "
    "configuration.*; another launcher has other settings: hydra/launcher=joblib",
    f"-m seed=range(0) {QUICK}": r"seed=range\(0\) names no value: give one at least",
    f"-m seed=range(0,1000000000) {QUICK}": "need a sweep of 100,000 runs at most, got .*: sweep in parts",
    f"-m hydra/sweeper=threshold method=subspace batch_size=range(0) {QUICK}": r"batch_size=range\(0\) names no value",
    f"-m hydra/sweeper=threshold method=subspace hydra.sweeper.max_runs=1000000 {QUICK}": "need hydra.sweeper.max_runs "
    "from [0-9]+, for baseline and spread, to 100000, got 1000000",
    f"-m seed=range(0,1000) lr=interval(0,1) {QUICK}": "BasicSweeper does not support sweep type",
    f"threads=10000000 {QUICK}": f"need an integer threads from 1 to {at_most(THREADS)}, got",
    f"-m hydra/launcher=joblib hydra.launcher.n_jobs=100000 rank=1,2 {QUICK}": "need an integer "
    f"hydra.launcher.n_jobs from 1 to {at_most(PROCESSES)}, got",
    f"-m hydra/launcher=joblib hydra.launcher.threads=100000 rank=1,2 {QUICK}": "need an integer hydra",
    f"-m hydra/launcher=submitit_local hydra.launcher.parameters.cpus_per_task=100000 rank=1,2 {QUICK}": "need an "
    "integer hydra.launcher.parameters.cpus_per_task from 1 to",
    f"method=adapter model=vit init=scratch bottleneck=1000000000000 {QUICK}": "an adapter of bottleneck=1000000000000 "
    r"needs [\d.]+ GB, [\d.]+ GB of memory are free: use a smaller one",
    f"method=prefix model=vit init=scratch length=1000000000000 {QUICK}": "a prefix of length=1000000000000 needs",
    f"-m hydra/launcher=submitit_local hydra.launcher.width=100000 rank=1,2 {QUICK}": "need an integer hydra.launcher",
}


@pytest.mark.parametrize("command", REFUSED)
def test_refused(refused, command):
    refused(command, REFUSED[command])


def test_a_batch_larger_than_the_data_is_all_of_it(program, tmp_path):
    status, out, _ = program(f"{QUICK} epochs=1 batch_size=1000000000000", tmp_path / "out")
    assert (status, "test accuracy" in out) == (0, True)


def test_without_assertions_it_says_why_not(tmp_path):
    done = subprocess.run(
        [sys.executable, "-O", str(RUN), "-m", "seed=range(0,2)"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: Hydra reads ranges by assertions, which python -O leaves out: run it without -O\n"


@pytest.mark.parametrize("change", ["lr=0.5", "seed=1", "batch_size=32"])
def test_the_state_of_another_run_is_not_taken(program, refused, tmp_path, change):
    """Under full training the seed is in no fingerprint, and the learning rate never is."""
    base = f"method=full {QUICK} epochs=2 checkpoint_seconds=0"
    folders = {}
    for name, command in {"first": base, "second": f"{base} {change}"}.items():
        assert program(f"{command} study={name}", tmp_path / "out")[0] == 0
        (record,) = (tmp_path / "out" / name).rglob("record.json")
        folders[name] = record.parent
    assert json.loads((folders["first"] / "record.json").read_text())["environment"]["threads"] >= 1
    state = Path(folders["second"]) / "state.safetensors"
    state.write_bytes(_state(program, f"{base} study=third", tmp_path, folders["first"].name))
    (folders["second"] / "record.json").unlink()
    match = f"{state} belongs to another run, {folders['first'].name}; delete it to start this run again"
    refused(f"{base} {change} study=second", match, tmp_path / "out")


def _state(program, command, tmp_path, run_id):
    """The checkpoint of a run that was stopped after its first epoch."""
    import experiments.run.train

    kept = {}
    usual = experiments.run.train.write_result

    def keep(*args, **kwargs):
        kept["state"] = (tmp_path / "out" / "third" / run_id / "state.safetensors").read_bytes()
        return usual(*args, **kwargs)

    experiments.run.train.write_result = keep
    try:
        assert program(command, tmp_path / "out")[0] == 0
    finally:
        experiments.run.train.write_result = usual
    return kept["state"]
