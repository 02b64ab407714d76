"""The commands of a committed study are those that made its records: the first run of each is one of them."""

import shlex

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from analysis.results.pages import RECORDS
from analysis.results.small_study import read_small_study, records_of
from intrinsic.files.run_id import run_id
from tests.support.configs import CONF, ROOT

pytestmark = pytest.mark.slow

FILES = sorted(path for path in (ROOT / RECORDS).glob("*.json") if path.name != "costs.json")


def first_run(words):
    """The resolved config of the first run of a command, and the class of what chooses its runs."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = [_first(word) for word in words]
        hydra = compose("config", chosen, return_hydra_config=True).hydra
        swept = [_first(f"{key}={value}") for key, value in (hydra.sweeper.get("params") or {}).items()]
        config = OmegaConf.to_container(compose("config", swept + chosen), resolve=True)
    if config["threads"] is None:
        config["threads"] = hydra.launcher.get("threads")  # as joblib's jobs have
    return config, hydra.sweeper["_target_"]


def _first(word):
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override():
        return word
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_first_run_of_each_command_is_one_of_the_records(file):
    content = read_small_study(file)
    known = {record["run_id"] for record in records_of(content)}
    for command in content["commands"]:
        config, sweeper = first_run([word for word in shlex.split(command)[2:] if word != "-m"])
        if not sweeper.endswith("ThresholdSweeper"):  # which finds its runs as it goes
            assert run_id(config) in known, command
