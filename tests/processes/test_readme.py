"""The README's examples, run as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import here
from tests.support.configs import ROOT

README = (ROOT / "README.md").read_text()
PARTS = ["conf", "intrinsic", "experiments", "hydra_plugins", "analysis", "tests", "run.py", "pyproject.toml"]


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the tree to run in."""
    folder = tmp_path_factory.mktemp("clone")
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def run(clone, *command):
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run(
        [sys.executable, *command], cwd=clone, capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def printed_by(command, clone, monkeypatch, capsys):
    """What a command prints that ends well: the first in a process of its own, later ones in this one."""
    if command in README.split("$ python ", 2)[1].splitlines()[:1]:
        return run(clone, *command.split())
    monkeypatch.chdir(clone)
    capsys.readouterr()
    status = here(*command.split())
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def shape(line):
    """A line without its numbers, which depend on the machine."""
    return re.sub(r"\b[0-9a-f]{12}\b|[\d,.]*\d", "#", " ".join(line.split())).strip()


def has_mnist():
    homes = [os.environ.get("INTRINSIC_DATA"), Path.home() / ".cache" / "intrinsic"]
    return any(home and list(Path(home).glob("mnist/train-images-idx3-ubyte*")) for home in homes)


def printed_as_shown(example, clone, monkeypatch, capsys):
    for part in example.split("$ python ")[1:]:
        command, *shown = part.splitlines()
        printed = [shape(line) for line in printed_by(command, clone, monkeypatch, capsys).splitlines()]
        assert printed[-len(shown) :] == [shape(line) for line in shown], command


@pytest.mark.slow
def test_examples_print_what_the_readme_shows(clone, monkeypatch, capsys):
    """One after another, as a reader types them: some read what earlier ones left."""
    examples = [example for example in blocks("console") if "dataset=mnist" not in example]
    assert len(examples) > 5
    for example in examples:
        printed_as_shown(example, clone, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.skipif(not has_mnist(), reason="set INTRINSIC_DATA to a folder with mnist/ to run this one")
def test_the_example_on_mnist(clone, monkeypatch, capsys):
    (example,) = [example for example in blocks("console") if "dataset=mnist" in example]
    printed_as_shown(example, clone, monkeypatch, capsys)


@pytest.mark.slow
def test_the_library_example(clone):
    (code,) = [block for block in blocks("python") if "import intrinsic\n" in block]
    (clone / "example.py").write_text(code + "\nassert (clone := intrinsic.load(model, 'run.safetensors'))\n")
    run(clone, "example.py")
    assert (clone / "run.safetensors").stat().st_size < 1500


def test_every_link_and_figure_is_there():
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", README):
        assert (ROOT / target).is_file(), target
