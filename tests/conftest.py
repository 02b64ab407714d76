"""What many test files need: the repository's own configs, composed as the program composes them."""

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, settings
from omegaconf import OmegaConf

import experiments.config.resolvers  # noqa: F401  # configs name them

CONF = Path(__file__).resolve().parent.parent / "conf"

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


@pytest.fixture(autouse=True)
def denormals():
    """Runs in this process make their threads take tiny numbers for 0, which hypothesis refuses to work with."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


def names(group):
    """The choices of a config group: the cases of its contract test."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides):
    """The resolved config of `python run.py <overrides>`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True)


@pytest.fixture
def config():
    """Compose a config from overrides."""
    return composed


def files(folder):
    """The files in a folder with their contents, less what Hydra notes about a sweep."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != "multirun.yaml"]
    return {path: path.read_bytes() for path in paths}
