"""Sweeps through every launcher are those of the basic one; kills and second commands cost nothing."""

import re
import signal
import subprocess
import time
from types import SimpleNamespace

import psutil
import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from joblib import cpu_count

from hydra_plugins._parallel_launcher import width
from hydra_plugins.joblib_launcher import JoblibLauncher
from hydra_plugins.submitit_launcher import SubmititLauncher
from intrinsic.errors import UserError
from tests.support.configs import CONF, names
from tests.support.sweeps import command, records, rows, run, run_here

# submitit_slurm needs Slurm: test_slurm.py, which has submitit's side by day; Ray's start takes twenty seconds
ONE_MACHINE = [
    pytest.param(name, marks=pytest.mark.nightly if name in ("submitit_local", "ray") else ())
    for name in names("hydra/launcher")
    if name != "submitit_slurm"
]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ONE_MACHINE)
def test_a_launcher_changes_no_run(tmp_path, undisturbed, capsys, launcher):
    sweep = [f"hydra/launcher={launcher}", "hydra.job.chdir=true"]  # paths count from where the command was given
    done = run("outputs", *sweep, cwd=tmp_path, RAY_ADDRESS="local")
    assert (done.returncode, done.stderr) == (0, "")
    assert records(tmp_path / "outputs") == undisturbed
    assert re.findall(r"^\[(\d)/3, +\d+ s left\]  lora rank=\d", done.stdout, re.MULTILINE) == ["1", "2", "3"]
    assert list(rows(done.stdout)) == [1, 2, 3]
    assert run_here(tmp_path / "outputs") == 0
    again = capsys.readouterr().out
    assert again.count("(skipped: already there)") == 3
    assert rows(again) == rows(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "kill"),
    [
        ("joblib", signal.SIGINT),
        pytest.param("submitit_local", signal.SIGKILL, marks=pytest.mark.nightly),
        pytest.param("joblib", signal.SIGTERM, marks=pytest.mark.nightly),
        pytest.param("joblib", signal.SIGKILL, marks=pytest.mark.nightly),
        pytest.param("submitit_local", signal.SIGTERM, marks=pytest.mark.nightly),
    ],
)
def test_workers_end_with_their_parent(tmp_path, capsys, launcher, kill):
    sweep = [f"hydra/launcher={launcher}", "epochs=3,20000", "rank=1", "checkpoint_seconds=0"]
    process = subprocess.Popen(
        command(tmp_path, *sweep),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    until = time.monotonic() + 120
    while not (list(tmp_path.glob("*/*/record.json")) and list(tmp_path.glob("*/*/state.safetensors"))):
        assert time.monotonic() < until, process.poll()
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.send_signal(kill)
    _, err = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[kill], err
    assert kill != signal.SIGINT or "stopped: the same command continues from the last checkpoint\n" in err
    assert not psutil.wait_procs(workers, timeout=20)[1]
    assert run_here(tmp_path, "epochs=3", "rank=1", "checkpoint_seconds=0") == 0
    assert "(skipped: already there)" in capsys.readouterr().out


@pytest.mark.slow
def test_two_equal_commands_train_a_run_once(tmp_path, undisturbed):
    processes = [
        subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outs, errs = zip(*(process.communicate(timeout=300) for process in processes), strict=True)
    assert [process.returncode for process in processes] == [0, 0], errs
    assert "".join(outs).count("(skipped: already there)") == 3
    assert records(tmp_path) == undisturbed
    assert set("".join(errs).splitlines()) <= {
        f"waiting for another process, which trains {path.parent}" for path in tmp_path.glob("*/*/record.json")
    }
    assert not list(tmp_path.glob("*/.*.lock"))


def test_widths(tmp_path):
    assert width(BasicLauncher()) == 1
    for jobs, expected in ((3, 3), (-1, cpu_count())):
        for launcher in (JoblibLauncher(jobs, 1), SubmititLauncher("local", jobs, f"{tmp_path}/%j", {"mem_gb": None})):
            launcher.check()
            assert width(launcher) == expected


@pytest.mark.parametrize(("name", "extra"), [("submitit_local", "slurm"), ("ray", "ray")])
def test_a_missing_package_is_named(monkeypatch, name, extra):
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    monkeypatch.setattr("hydra_plugins._parallel_launcher.find_spec", lambda package: None)
    config = OmegaConf.create(
        {
            "output": "o",
            "study": "s",
            "hydra": {"launcher": OmegaConf.load(CONF / "hydra" / "launcher" / f"{name}.yaml")},
        }
    )
    with pytest.raises(UserError, match=rf"is missing: pip install 'intrinsic-subspaces\[{extra}\]'"):
        Plugins.instance().instantiate_launcher(hydra_context=SimpleNamespace(), task_function=print, config=config)
