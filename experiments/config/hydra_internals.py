"""Hydra's private names: all that this program uses of them, in hydra-core 1.3."""

import os
import pickle
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any

import hydra._internal.hydra as composer
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from intrinsic.errors import UserError

if TYPE_CHECKING:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

__all__ = ["BASIC_LAUNCHER", "BasicSweeper", "ClosedLoader", "composing_with", "given_options"]
SEARCHPATH = "hydra.searchpath"
KEPT = 64  # choices of files of a sweep whose configs are kept, 15 kB each
BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # as a config names it


def __getattr__(name: str) -> Any:
    """Import the sweeper when a plugin asks for it: Hydra runs its file again as it looks for plugins.

    A class of before would not be the one that the file's own lines then mean by its name.
    """
    if name != "BasicSweeper":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return import_module("hydra._internal.core_plugins.basic_sweeper").BasicSweeper


class _ReadOnce(ConfigRepository):
    """Files of configs, each read and parsed once: a sweep composes them for every run."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.results: dict[str, bytes] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """What a file says, as a copy: Hydra merges into what it gets."""
        if config_path not in self.results:
            self.results[config_path] = pickle.dumps(super().load_config(config_path))
        result: ConfigResult | None = _copy(self.results[config_path])
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> "_ReadOnce":
        """A copy that other sources may be given, over the same files."""
        new = copy(self)
        new.sources = list(self.sources)
        return new


class ClosedLoader(ConfigLoaderImpl):
    """Composes as Hydra does, from the places that the program and --config-dir name, and no others.

    What a choice of files makes is composed once, in 0.1 s; a run's values are put into a copy of it, in 5 ms.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = _ReadOnce(config_search_path)
        self.composed: dict[tuple[str | None, ...], bytes] = {}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a config."""
        parsed = OverridesParser.create().parse_overrides(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        single = [override for override in parsed if not override.is_sweep_override()]
        choices = [override for override in single if self._is_choice(override)]
        config = self._compose(config_name, [str(choice.input_line) for choice in choices], run_mode)
        self._apply_overrides_to_config([override for override in single if override not in choices], config)
        task = [override for override in parsed if not override.is_hydra_override()]
        hydra = config.hydra
        hydra.overrides.hydra = [override.input_line for override in parsed if override not in task]
        hydra.overrides.task = [override.input_line for override in task]
        hydra.job.override_dirname = get_overrides_dirname(task, **hydra.job.config.override_dirname)
        hydra.runtime.cwd = os.getcwd()
        return config

    def _is_choice(self, override: Override) -> bool:
        """Whether Hydra chooses files by it; it puts in the others as values, afterwards."""
        if override.package is not None or override.key_or_group == SEARCHPATH:
            return True
        return self.repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)

    def _compose(self, config_name: str | None, choices: list[str], run_mode: RunMode) -> DictConfig:
        """What the choices of files make, without the values of a run."""
        key = config_name, *choices
        if key in self.composed:
            config: DictConfig = _copy(self.composed[key])
            return config
        config = super().load_configuration(config_name, choices, run_mode, validate_sweep_overrides=False)
        if (
            "???" not in config.hydra.runtime.choices.values() and len(self.composed) < KEPT
        ):  # a sweep may leave it open
            self.composed[key] = pickle.dumps(config)
        return config

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        """Refuse what would add places to look for configs in: to look into a package runs it."""
        given = any(override.key_or_group == SEARCHPATH for override in parsed_overrides)
        primary = None if config_name is None else repo.load_config(config_name)
        if given or (primary is not None and OmegaConf.select(primary.config, SEARCHPATH)):
            raise UserError(f"{SEARCHPATH} is refused: name one more folder of configs by --config-dir")


def _copy(pickled: bytes) -> Any:
    """A copy, in a seventh of the time of deepcopy, of what this process has pickled."""
    return pickle.loads(pickled)  # noqa: S301


@contextmanager
def composing_with(loader: type[ClosedLoader]) -> Iterator[None]:
    """Let `hydra.main` compose with that loader."""
    usual, composer.ConfigLoaderImpl = composer.ConfigLoaderImpl, loader  # type: ignore[misc]
    try:
        yield
    finally:
        composer.ConfigLoaderImpl = usual  # type: ignore[misc]


def given_options() -> Namespace:
    """The options of the command line that are Hydra's."""
    options: Namespace = get_args_parser().parse_args()
    return options
