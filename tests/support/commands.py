"""Commands that are run in this process, and how a bad one must end."""

import re
import runpy
import shlex
import sys

import pytest
from hydra.core.global_hydra import GlobalHydra

from tests.support.configs import ROOT

RUN = ROOT / "run.py"
QUICK = "init=scratch dataset.fraction=0.1"


def words(command, output):
    given = shlex.split(command)
    usual = [f"output={output}", "epochs=1", *([] if "init=" in command else ["init.source.epochs=1"])]
    options = [word for word in given if word.startswith("-")]
    return [str(RUN), *options, *usual, *(word for word in given if word not in options)]


def here(program, *arguments):
    """The exit status of `python PROGRAM ARGUMENTS`, a file or (-m) a module of this project, run in this process."""
    GlobalHydra.instance().clear()
    path = program
    if program == "-m":
        module, *arguments = arguments
        path = ROOT / f"{module.replace('.', '/')}.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            return stop.code or 0
    return 0


def run(command, output):
    """The exit status of a command, run in this process."""
    return here(*words(command, output))


def assert_one_line(err, match):
    assert err.endswith("\n")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert re.search(match, line), line
