"""Sweeps with replicas: the folders, records and rows of separate runs."""

import json
import re

import pytest

from hydra_plugins.grid_sweeper import _grouped
from tests.support.commands import RUN, here

pytestmark = pytest.mark.slow

QUICK = ["init=scratch", "threads=1", "dataset.fraction=0.2", "epochs=3"]
GRID = ["seed=0,1", "lr=0.003,0.03", *QUICK]
OWN = {"seconds", "started_at", "peak_memory_bytes", "replicas", "output"}  # of a process, not of a run


@pytest.fixture
def sweep(tmp_path, capsys):
    """Runs a sweep in this process: exit status, what it printed, and the records by seed and lr."""

    def call(*arguments, output="out"):
        capsys.readouterr()
        status = here(RUN, "-m", f"output={tmp_path / output}", *arguments)
        records = [json.loads(path.read_text()) for path in (tmp_path / output).rglob("record.json")]
        return status, capsys.readouterr(), {(r["config"]["seed"], r["config"]["lr"]): r for r in records}

    return call


def essence(node):
    """A record without what is of its process, and with numbers that bear comparison."""
    if isinstance(node, dict):
        return {key: essence(value) for key, value in node.items() if key not in OWN}
    if isinstance(node, list):
        return [essence(value) for value in node]
    # float32 sums over stacked tensors are rounded otherwise: 1e-7 a step, which fifty steps of training amplify
    return pytest.approx(node, rel=1e-3, abs=1e-5) if isinstance(node, float) else node


COMMON = [["method=lora"], ["method=subspace", "l2_weights=0.001", "schedule=cosine", "patience=2"]]


@pytest.mark.parametrize(
    "method",
    [
        *COMMON,
        *(
            pytest.param(
                [f"method={method}", "schedule=cosine", "optim=adamw"],
                marks=pytest.mark.nightly if method in ("said", "bitfit") else (),  # by day in test_replicas
            )
            for method in ("full", "unilora", "said", "bitfit")
        ),
    ],
    ids=lambda method: method[0],
)
def test_a_batch_is_its_runs(sweep, tmp_path, method):
    _, alone, separate = sweep(*method, *GRID, output="alone")
    status, printed, found = sweep(*method, *GRID, "replicas=3", output="together")  # three, and one by itself
    assert status == 0
    assert {key: record["run_id"] for key, record in found.items()} == {k: r["run_id"] for k, r in separate.items()}
    assert {key: essence(record) for key, record in separate.items()} == {
        key: plain(record) for key, record in found.items()
    }
    assert sorted(record["replicas"] for record in found.values()) == [1, 3, 3, 3]
    for record in found.values():
        folder = tmp_path / "together" / "default" / record["run_id"]
        assert {path.name for path in folder.iterdir()} == {"record.json", "trained.safetensors"}
    lines = printed.out.splitlines()
    assert [line.split(",")[0] for line in lines[:4]] == ["[1/4", "[2/4", "[3/4", "[4/4"]
    assert [told(line) for line in sorted(lines[:4], key=told)] == sorted(map(told, alone.out.splitlines()[:4]))
    rows = [line.split()[:3] for line in lines[4:]]
    assert rows == [line.split()[:3] for line in alone.out.splitlines()[4:]]  # in the order of the grid

    again = sweep("replicas=4", *method, *GRID, output="together")
    assert again[1].out.count("skipped: already there") == 4
    assert again[2] == found


def told(line):
    """What a line says of its run: the seed and the rate, which are swept."""
    return re.search(r"seed=\d.* lr=\S+", line).group()


def plain(node):
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items() if key not in OWN}
    return [plain(value) for value in node] if isinstance(node, list) else node


def test_a_batch_may_differ_in_seeds_of_sources(sweep, tmp_path):
    grid = ["method=subspace", "seeds.projection=0,1", "seeds.order=${seeds.projection}", *QUICK]
    _, _, _ = sweep(*grid, output="alone")
    status, _, _ = sweep(*grid, "replicas=2", output="together")
    assert status == 0
    found = [
        {r["run_id"]: r for r in map(json.loads, (p.read_text() for p in (tmp_path / name).rglob("record.json")))}
        for name in ("alone", "together")
    ]
    assert {r["replicas"] for r in found[1].values()} == {2}
    assert {run: essence(record) for run, record in found[0].items()} == {run: plain(r) for run, r in found[1].items()}


def test_what_is_there_is_skipped_and_the_rest_is_trained_at_once(sweep, tmp_path):
    _, _, first = sweep("seed=1", "lr=0.003", *QUICK)
    status, printed, found = sweep(*GRID, "replicas=4")
    assert status == 0
    assert printed.out.count("skipped: already there") == 1
    assert found[1, 0.003] == first[1, 0.003]
    assert sorted(record["replicas"] for record in found.values()) == [1, 3, 3, 3]


def test_a_batch_starts_again_and_leaves_no_checkpoint(sweep, tmp_path):
    _, _, before = sweep(*GRID, "replicas=4")
    for path in (tmp_path / "out").rglob("record.json"):
        path.rename(path.with_name("state.safetensors"))  # as a kill leaves one, but damaged
    status, _, found = sweep(*GRID, "replicas=4")
    assert status == 0
    assert {key: plain(record) for key, record in found.items()} == {key: plain(r) for key, r in before.items()}
    assert not list((tmp_path / "out").rglob("state.safetensors"))


def test_what_differs_in_more_than_seeds_and_lr_is_refused(sweep):
    status, printed, found = sweep("seed=0,1", "dataset.seed=${seed}", "replicas=2", *QUICK)
    assert (status, found) == (1, {})
    assert (
        printed.err.count("error: replicas may differ in seed, seeds and lr alone, these do in dataset: use rep") == 2
    )


def test_one_that_diverges_is_a_result_among_others(sweep):
    grid = ["method=full", "optim=sgd", "seed=0,1", "lr=1e30,0.01", *QUICK]
    _, _, separate = sweep(*grid, output="alone")
    status, _, found = sweep(*grid, "replicas=4", output="together")
    assert status == 0
    statuses = {key: record["status"] for key, record in found.items()}
    assert statuses == {(seed, lr): "diverged" if lr > 1 else "finished" for seed in (0, 1) for lr in (1e30, 0.01)}
    assert {key: essence(record) for key, record in separate.items()} == {k: plain(r) for k, r in found.items()}


def test_a_bad_run_is_a_row_among_others(sweep):
    status, printed, found = sweep("seed=0,-1,1", "replicas=3", *QUICK)
    assert status == 1
    assert "[1/3, " in printed.err
    assert "error: need an integer seed >= 0, got seed=-1" in printed.err
    assert sorted(seed for seed, _ in found) == [0, 1]
    assert {record["replicas"] for record in found.values()} == {2}


def test_a_crash_loses_no_finished_run(sweep, monkeypatch):
    """The first run of the batch ends, then the program breaks; the next sweep trains what is missing."""
    import experiments.run.train_replicas as module

    fit = module.fit_replicas

    def broken(*args, **options):
        for index, epoch, last in fit(*args, **options):
            yield index, epoch, last
            if last:
                raise ZeroDivisionError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(module, "fit_replicas", broken)
        status, printed, found = sweep(*GRID, "replicas=4")
    assert status == 1
    assert printed.err.count("Traceback") == 1
    assert sorted(record["status"] for record in found.values()) == ["failed"] * 3 + ["finished"]
    assert {r["error"] for r in found.values()} == {None, "ZeroDivisionError: planted"}
    status, printed, found = sweep(*GRID, "replicas=4")
    assert status == 0
    assert printed.out.count("skipped") == 1
    assert {record["status"] for record in found.values()} == {"finished"}


def test_a_logger_is_told_of_every_run(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    _, _, found = sweep("seed=0,1", "replicas=2", "logger=wandb", *QUICK)
    for record in found.values():
        logs = sorted((tmp_path / "out" / "default" / record["run_id"]).glob("wandb/offline-run-*/*.wandb"))
        assert b"validation/accuracy" in b"".join(log.read_bytes() for log in logs)


def test_runs_are_grouped_by_what_they_share():
    runs = [["rank=1", f"seed={s}", f"lr={lr}", "epochs=1"] for s in (0, 1, 2) for lr in (0.1, "1e-3")]
    first, second = _grouped(dict(enumerate(runs, start=10)), 4)
    assert first.overrides == [
        "rank=1",
        "epochs=1",
        "batch=[{seed:0,lr:0.1},{seed:0,lr:1e-3},{seed:1,lr:0.1},{seed:1,lr:1e-3}]",
    ]
    assert second.overrides == ["rank=1", "epochs=1", "batch=[{seed:2,lr:0.1},{seed:2,lr:1e-3}]"]
    assert (first.runs, second.runs) == ([10, 11, 12, 13], [14, 15])
    runs = [[f"seed={s}", f"rank={rank}", "optim.lr=0.1"] for s in (0, 1) for rank in (1, 2)]
    assert [job.runs for job in _grouped(dict(enumerate(runs)), 8)] == [[0, 2], [1, 3]]
    assert [job.overrides for job in _grouped(dict(enumerate(runs)), 1)] == runs
    (alone,) = _grouped({0: runs[0]}, 8)
    assert alone.overrides == runs[0]  # as without replicas: with checkpoints
