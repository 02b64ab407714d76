"""The wheel: the library alone, which works where nothing is installed but what it asks for."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.configs import ROOT

FILES = ("pyproject.toml", "README.md", "LICENSE")
ALONE = ROOT / "tests" / "support" / "library_alone.py"
BUILD = "from setuptools.build_meta import build_wheel; build_wheel('.')"
# nothing is compiled, and neither a user's own folders nor a hub are asked
QUIET = {"INTRINSIC_KERNELS": "torch", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree, with no packages but those that are here."""
    home = tmp_path_factory.mktemp("wheel")
    for name in ("intrinsic", "analysis", "experiments", "hydra_plugins"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, home)
    subprocess.run([sys.executable, "-c", BUILD], cwd=home, check=True, capture_output=True)
    (found,) = home.glob("*.whl")
    return found


def requirements(folder):
    """Names of the distributions that the wheel in a folder asks for, and of what these ask for, and so on."""
    (metadata,) = folder.glob("*.dist-info/METADATA")
    waiting, found = re.findall(r"^Requires-Dist: (.*)$", metadata.read_text(), re.MULTILINE), set()
    while waiting:
        one = Requirement(waiting.pop())
        name = canonicalize_name(one.name)
        if name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            assert one.specifier.contains(distribution(name).version, prereleases=True), one
            found.add(name)
            waiting += distribution(name).requires or []
    return found


def environment(folder, wheel):
    """A Python in `folder` that has the wheel and links to what it asks for."""
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    asked = requirements(site)
    for name in asked:
        one = distribution(name)
        for top in {file.parts[0] for file in one.files if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(one.locate_file(top))
    return folder / "bin" / "python", asked


def example():
    """The README's, of the library."""
    (code,) = re.findall(
        r"```python\n(import torch\nimport intrinsic\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    return code


def run(python, *arguments, folder):
    variables = {**os.environ, **QUIET, "HOME": str(folder), "INTRINSIC_DATA": str(folder)}
    return subprocess.run([python, *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=600)


def test_the_wheel_holds_the_library_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"intrinsic", "intrinsic_subspaces-0.1.0.dist-info"}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "intrinsic").rglob("*.py")}
    assert {name for name in names if name.startswith("intrinsic/")} == ours | {"intrinsic/py.typed"}


@pytest.mark.slow
def test_the_library_needs_what_it_asks_for_and_no_more(wheel, tmp_path):
    python, asked = environment(tmp_path / "env", wheel)
    assert {"torch", "numpy", "safetensors"} <= asked
    assert asked.isdisjoint({"hydra-core", "wandb", "pandas", "matplotlib", "rich", "scikit-learn", "transformers"})
    (tmp_path / "example.py").write_text(example())
    done = run(python, "-I", ALONE, "example.py", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "passed\n"), done.stderr
    for command in ([ROOT / "run.py"], ["-m", "analysis.rank_curve", "x"], ["-m", "experiments.updates", "x"]):
        done = subprocess.run([python, *command], cwd=ROOT, capture_output=True, text=True)
        line = "error: the package hydra-core is missing: pip install 'intrinsic-subspaces[program]'\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.nightly
@pytest.mark.slow
def test_pip_installs_the_wheel(wheel, tmp_path):
    """Into an empty environment, from the registry that pip is set up for, at the versions that tests ran with."""
    venv.create(tmp_path / "env", symlinks=True, with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "example.py").write_text(example())
    done = run(python, "-I", ALONE, "example.py", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "passed\n"), done.stderr
