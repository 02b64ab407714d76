"""The repository's own configs, composed as the program composes them, and the files of a folder."""

from copy import deepcopy
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import experiments.config.resolvers  # noqa: F401  # configs name them

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def names(group):
    """The choices of a config group: the cases of its contract test."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides):
    """The resolved config of `python run.py <overrides>`, a copy of one's own."""
    return deepcopy(_composed(*overrides))


@cache
def _composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True)


def composes(words):
    """Whether the overrides of a run or a sweep compose, each at the first of its values."""
    parsed = OverridesParser.create().parse_overrides([word for word in words if word != "-m"])
    first = [
        f"{each.get_key_element()}={next(each.sweep_string_iterator())}"
        if each.is_sweep_override()
        else each.input_line
        for each in parsed
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return bool(compose("config", first, return_hydra_config=True))


def files(folder):
    """The files in a folder with their contents, less what Hydra notes about a sweep."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != "multirun.yaml"]
    return {path: path.read_bytes() for path in paths}
