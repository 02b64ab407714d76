"""Fixtures of several folders."""

import gc
import sys
import urllib.request

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from tests.support.commands import assert_one_line, run
from tests.support.configs import composed, files
from tests.support.network import no_network
from tests.support.tiny import ARCHITECTURES, make_folder
from tests.support.tiny_language import LANGUAGE, make_language_folder

# the same examples in every run, kept nowhere; a machine's speed is no property
settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What runs the whole program is slow; what starts processes comes first, so that no worker ends with it alone."""
    items.sort(key=lambda item: "processes" not in item.path.parts)
    for item in items:
        if "program" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """What is there now stays: collectors of garbage need not look through it again and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def denormals():
    """Runs in this process make their threads take tiny numbers for 0, which hypothesis refuses to work with."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def config():
    """Compose a config from overrides."""
    return composed


@pytest.fixture
def offline(monkeypatch):
    """No network."""
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", no_network)


@pytest.fixture
def surroundings(tmp_path, monkeypatch, offline):
    """A folder of its own to run in, without a network or a key of W&B."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
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
        status, out, err = program(command, output)
        assert (status, err[-1:]) == (2, "\n"), f"{out}{err}"
        assert_one_line(err, match)
        assert files(output) == before
        assert not list((tmp_path / "cwd").iterdir())

    return check


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A folder of each architecture."""
    home = tmp_path_factory.mktemp("models")
    return {kind: make_folder(home / kind, kind) for kind in ARCHITECTURES}


@pytest.fixture(scope="session")
def language_folders(tmp_path_factory):
    """A folder of each language model."""
    home = tmp_path_factory.mktemp("language")
    return {kind: make_language_folder(home / kind, kind) for kind in LANGUAGE}


@pytest.fixture
def unrendered(request, monkeypatch):
    """Figures are made, and a pixel is saved for each, which takes less time: but for tests marked `rendered`."""
    if request.node.get_closest_marker("rendered") is None:
        image = Image.new("RGB", (1, 1))
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, file, **_: image.save(file, "png"))
