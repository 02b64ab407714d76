"""Commands that are run in this process, and how a bad one must end."""

import re
import runpy
import shlex
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import files
from hydra.core.global_hydra import GlobalHydra

RUN = Path(__file__).parent.parent / "run.py"
QUICK = "init=scratch dataset.fraction=0.1"


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    def no_network(*_args, **_kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", no_network)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # no key of W&B
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture(scope="session")
def output(tmp_path_factory):
    """A folder of outputs with a pretrained model, so that no bad run begins with making one."""
    folder = tmp_path_factory.mktemp("outputs")
    assert run("", folder) == 0
    return folder


def words(command, output):
    given = shlex.split(command)
    usual = [f"output={output}", "epochs=1", *([] if "init=" in command else ["init.source.epochs=1"])]
    options = [word for word in given if word.startswith("-")]
    return [str(RUN), *options, *usual, *(word for word in given if word not in options)]


def run(command, output):
    """The exit status of a command, run in this process."""
    GlobalHydra.instance().clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words(command, output))
        patch.setenv("INTRINSIC_SWEEP", "")  # noted, so that what the program sets is undone
        patch.delenv("INTRINSIC_SWEEP")
        try:
            runpy.run_path(str(RUN), run_name="__main__")
        except SystemExit as stop:
            return stop.code
    return 0


@pytest.fixture
def program(output, capsys):
    """Runs a command: exit status, standard output, standard error."""

    def call(command, output=output):
        capsys.readouterr()
        return run(command, output), *capsys.readouterr()

    return call


@pytest.fixture
def refused(output, program, tmp_path):
    """Checks that a command ends as it must."""

    def check(command, match, output=output):
        before = files(output)
        status, _, err = program(command, output)
        assert_one_line(err, match)
        assert status == 2
        assert files(output) == before
        assert not list((tmp_path / "cwd").iterdir())

    return check


def assert_one_line(err, match):
    assert err.endswith("\n")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert re.search(match, line), line
