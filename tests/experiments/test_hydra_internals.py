"""Hydra's private names, which its next version may not have: all are used in one file, and all are there.

That `hydra.main` composes with what this program puts under one of them is seen in test_hydra_settings.py.
"""

import re
from importlib import import_module
from importlib.metadata import version
from inspect import signature

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from experiments.config import hydra_internals
from experiments.config.hydra_internals import ClosedLoader
from tests.support.configs import ROOT

KNOWN = ["1.3.0", "1.3.1", "1.3.2", "1.3.8"]  # versions of hydra-core that have all of them, with these arguments
NAMES = {
    "hydra.ConfigLoaderImpl": "config_search_path",  # what hydra.main composes with: `composing_with` sets it
    "config_loader_impl.ConfigLoaderImpl": "config_search_path",
    "config_loader_impl.ConfigLoaderImpl._process_config_searchpath": "self config_name parsed_overrides repo",
    "config_loader_impl.ConfigLoaderImpl._apply_overrides_to_config": "overrides cfg",
    "config_loader_impl.get_overrides_dirname": "overrides exclude_keys item_sep kv_sep",
    "config_loader_impl.ConfigLoaderImpl.validate_sweep_overrides_legal": "overrides run_mode from_shell",
    "config_repository.CachingConfigRepository.load_config": "self config_path",
    "config_repository.ConfigRepository": "config_search_path",
    "config_repository.ConfigRepository.group_exists": "self config_path",
    "config_repository.ConfigRepository.load_config": "self config_path",
    "core_plugins.basic_launcher.BasicLauncher": "",
    "core_plugins.basic_sweeper.BasicSweeper": "max_batch_size params",
    "core_plugins.basic_sweeper.BasicSweeper.split_arguments": "overrides max_batch_size",
    "utils.get_args_parser": "",
}
FILE = "experiments/config/hydra_internals.py"


pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.mark.parametrize("name", NAMES)
def test_hydra_has_what_is_used(name):
    found, remedy = version("hydra-core"), f"adapt {FILE}; known to have it: hydra-core {', '.join(KNOWN)}"
    module = re.match(r"(\w+\.)*[a-z]\w+(?=\.[A-Z])|\w+", name)[0]
    node = import_module(f"hydra._internal.{module}")
    for part in name.removeprefix(f"{module}.").split("."):
        assert hasattr(node, part), f"hydra-core {found} has no hydra._internal.{name}: {remedy}"
        node = getattr(node, part)
    assert " ".join(signature(node).parameters) == NAMES[name], f"hydra-core {found} has another {name}: {remedy}"


def test_one_file_uses_them():
    folders = ("experiments", "hydra_plugins", "analysis", "intrinsic")
    files = [ROOT / "run.py", *(path for top in folders for path in (ROOT / top).rglob("*.py"))]
    users = [str(path.relative_to(ROOT)) for path in files if "hydra._internal" in path.read_text()]
    assert users == [FILE]


def test_the_basic_launcher_is_the_one_that_hydra_names():
    launcher = ConfigStore.instance().load("hydra/launcher/basic.yaml").node
    assert launcher._target_ == hydra_internals.BASIC_LAUNCHER


@pytest.mark.parametrize(
    "command",
    [
        "rank=0 ++space.rank=0",
        "-m rank=0,-1,-1 method=lora lr=0.1",
        "hydra.mode=MULTIRUN rank=0 hydra.verbose=true",
        "hydra.mode=RUN rank=0",
    ],
)
def test_choices_are_composed_once_as_hydra_composes_them(program, monkeypatch, command):
    """What the choices of files make, once; the values of each run are put into a copy."""
    compose, load, made = ConfigLoaderImpl.load_configuration, ClosedLoader.load_configuration, []

    def count(self, *arguments, **options):
        made.append(arguments)
        return compose(self, *arguments, **options)

    def compare(self, name, overrides, *arguments):
        config = load(self, name, overrides, *arguments)
        assert OmegaConf.to_container(config) == OmegaConf.to_container(compose(self, name, overrides, *arguments))
        return config

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", count)
    monkeypatch.setattr(ClosedLoader, "load_configuration", compare)
    status, _, err = program(command)
    assert (status, "got rank=0" in err) == (1 if "MULTIRUN" in command or "-m" in command else 2, True)
    assert len(made) == 1
