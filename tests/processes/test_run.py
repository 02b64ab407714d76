"""The program as its users run it: sweeps, records, skipping, kills, loggers, start-up."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from tests.support.commands import here
from tests.support.configs import ROOT

TIMES = {"seconds", "started_at", "peak_memory_bytes"}
# one thread: the bits of a sum may depend on how many threads share it
SETTINGS = ["threads=1"]


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """One output folder for the file, so that pretraining happens once."""
    return tmp_path_factory.mktemp("outputs")


def command(output, *arguments):
    flags = [argument for argument in arguments if argument.startswith("-")]
    rest = [argument for argument in arguments if not argument.startswith("-")]
    return [sys.executable, str(ROOT / "run.py"), *flags, f"output={output}", *SETTINGS, *rest]


def run(output, *arguments, status=0, **environment):
    environment = {**os.environ, "WANDB_MODE": "offline", **environment}
    done = subprocess.run(command(output, *arguments), capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def run_here(output, capsys, monkeypatch):
    """Runs a command in this process, whose start takes longer than what it does."""
    monkeypatch.setenv("WANDB_MODE", "offline")

    def call(*arguments, status=0):
        capsys.readouterr()
        found = here(*command(output, *arguments)[1:])
        out, err = capsys.readouterr()
        assert found == status, err
        return SimpleNamespace(stdout=out, stderr=err)

    return call


def records(output, study="default"):
    """The records of a study by run id, without what differs between two equal runs."""
    found = {path.parent.name: json.loads(path.read_text()) for path in (output / study).glob("*/record.json")}
    return {name: timeless(record) for name, record in found.items()}


def timeless(node):
    if isinstance(node, dict):
        return {key: timeless(value) for key, value in node.items() if key not in TIMES | {"output", "study"}}
    return [timeless(value) for value in node] if isinstance(node, list) else node


@pytest.mark.slow
def test_a_rank_sweep(output, run_here):
    done = run_here("-m", "rank=1,2,4,8", "study=ranks")
    found = records(output, "ranks")
    by_rank = {record["config"]["rank"]: record for record in found.values()}
    assert sorted(by_rank) == [1, 2, 4, 8]
    accuracy = {rank: record["last"]["test"]["accuracy"] for rank, record in by_rank.items()}
    assert accuracy[1] < accuracy[2] < accuracy[4]
    assert accuracy[2] < accuracy[8]
    for rank, record in by_rank.items():
        # two layers of 64 x 64, factors of rank x 64 each; the head stays as it was
        assert record["numbers"]["trained"] == record["numbers"]["dim"] == 2 * rank * (64 + 64)
        assert record["numbers"]["head"] == 0
        assert record["status"] == "finished"
        assert record["last"]["epoch"] == 30
        assert record["best"]["validation"]["accuracy"] >= record["last"]["validation"]["accuracy"]
    table = done.stdout.splitlines()[-5:]
    assert table[0].split()[:3] == ["rank", "trainable", "parameters"]
    assert [row.split()[:2] for row in table[1:]] == [["1", "256"], ["2", "512"], ["4", "1,024"], ["8", "2,048"]]

    before = {path: path.stat().st_mtime_ns for path in (output / "ranks").glob("*/*")}
    again = run_here("-m", "rank=1,2,4,8", "study=ranks")
    assert again.stdout.count("skipped: already there") == 4
    assert {path: path.stat().st_mtime_ns for path in (output / "ranks").glob("*/*")} == before


@pytest.mark.nightly  # by day sweeps are killed, in test_kills
@pytest.mark.parametrize(
    "method", ["method=subspace dim=100,200", "method=lora rank=2,4", "method=full lr=0.001,0.002"]
)
def test_a_kill_costs_nothing_but_time(output, run_here, method):
    name = method.split()[0].partition("=")[2]
    sweep = ["-m", *method.split(), "epochs=60", "checkpoint_seconds=0", "optim=adamw", "schedule=cosine"]
    run_here(*sweep, f"study={name}")
    undisturbed = records(output, name)
    assert len(undisturbed) == 2
    study = output / f"{name}_killed"
    kills = 0
    for moment in (0.15, 0.5):  # of a run, so that it is in its middle
        process = subprocess.Popen(
            command(output, *sweep, f"study={study.name}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not list(study.glob("*/state.safetensors")):
            time.sleep(0.01)
        time.sleep(moment)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills, "the runs ended before they could be killed"
    run_here(*sweep, f"study={study.name}")
    assert records(output, study.name) == undisturbed
    assert {path.name for path in study.glob("*/*")} == {"record.json", "trained.safetensors"} | {
        path.name for path in study.glob("*/.*")
    }


@pytest.mark.slow
def test_a_diverged_run_is_a_result(output, run_here):
    done = run_here("-m", "method=full", "optim=sgd", "lr=1e30,0.01", "epochs=3", "study=diverged")
    statuses = {record["config"]["lr"]: record["status"] for record in records(output, "diverged").values()}
    assert statuses == {1e30: "diverged", 0.01: "finished"}
    assert "diverged in epoch" in done.stdout
    assert (
        run_here("-m", "method=full", "optim=sgd", "lr=1e30,0.01", "epochs=3", "study=diverged").stdout.count("skipped")
        == 2
    )


@pytest.mark.slow
def test_a_crash_is_recorded_and_the_sweep_goes_on(output, run_here, monkeypatch):
    """A bug in one run: a traceback, a record that says so, the other runs as always, exit status 1."""
    import experiments.run.train as module

    fit = module.fit

    def broken(*args, **options):
        if options["epochs"] == 2:
            raise ZeroDivisionError("planted")
        return fit(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit", broken)
        done = run_here("-m", "epochs=2,3", "study=crash", status=1)
    assert "Traceback" in done.stderr
    found = {record["config"]["epochs"]: record for record in records(output, "crash").values()}
    assert found[2]["status"] == "failed"
    assert found[2]["error"] == "ZeroDivisionError: planted"
    assert found[3]["status"] == "finished"
    run_here("-m", "epochs=2,3", "study=crash")  # a failed run is tried again
    assert {record["status"] for record in records(output, "crash").values()} == {"finished"}


@pytest.mark.slow
def test_wandb_offline(output, run_here, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    run_here("-m", "rank=1,2", "epochs=2", "logger=wandb", "study=logged")
    runs = sorted((output / "logged").glob("*/record.json"))
    assert len(runs) == 2
    for record in runs:
        (folder,) = (record.parent / "wandb").glob("offline-run-*")
        assert folder.name.endswith(record.parent.name)  # the id of W&B is the id of the run
        (log,) = folder.glob("*.wandb")
        content = log.read_bytes()
        for text in (b"logged", b"validation/accuracy", b"train/loss", b"test/accuracy"):
            assert text in content


@pytest.mark.slow
def test_what_is_stored_is_enough(output, run_here):
    """The file beside the record gives the recorded accuracy on a fresh model of the same config."""
    import torch

    import intrinsic
    from experiments.run.setup import Setup
    from intrinsic.training.evaluate import evaluate

    run_here("method=unilora", "dim=100", "study=stored", "epochs=3")
    (folder,) = [path.parent for path in (output / "stored").glob("*/record.json")]
    record = json.loads((folder / "record.json").read_text())
    setup = Setup(record["config"])
    setup.device = torch.device("cpu")
    task, model = setup.task, setup.model()
    model.load_state_dict(setup.source_task.weights(task, setup.device))
    net = intrinsic.load(model, folder / "trained.safetensors")
    assert evaluate(net, task, task.test)["accuracy"] == pytest.approx(record["last"]["test"]["accuracy"])
    assert net.fingerprint() == record["fingerprint"]
    assert record["numbers"]["stored_bytes"] == (folder / "trained.safetensors").stat().st_size < 3000
    with torch.no_grad():
        plain = net.merge().eval()
        outputs = plain(task.test.inputs)
    accuracy = (outputs.argmax(1) == task.test.targets).double().mean().item()
    assert accuracy == pytest.approx(record["last"]["test"]["accuracy"])
