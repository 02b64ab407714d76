"""Hydra's private names: all that this program uses of them, in hydra-core 1.3."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from importlib import import_module
from typing import TYPE_CHECKING, Any

import hydra._internal.hydra as composer
from hydra._internal.config_loader_impl import ConfigLoaderImpl
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
MODES = (["hydra.mode=RUN"], ["hydra.mode=MULTIRUN"])  # as Hydra adds them at the end
SEEN = 64  # configs that a sweep may hold ready
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
        self.results: dict[str, ConfigResult | None] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """What a file says, as a copy: Hydra merges into what it gets."""
        if config_path not in self.results:
            self.results[config_path] = super().load_config(config_path)
        return deepcopy(self.results[config_path])

    def __deepcopy__(self, memo: dict[int, Any]) -> "_ReadOnce":
        """A copy that other sources may be given, over the same files."""
        new = copy(self)
        new.sources = list(self.sources)
        return new


class ClosedLoader(ConfigLoaderImpl):
    """Composes as Hydra does, from the places that the program and --config-dir name, and no others."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = _ReadOnce(config_search_path)
        self.seen: dict[tuple[str | None, ...], DictConfig] = {}
        self.looks = False

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs."""
        return vars(self) | {"seen": {}}

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Compose configs whose mistakes shall show early: the first ones are kept for when they are used."""
        self.looks = True
        try:
            yield
        finally:
            self.looks = False

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a config, once for a look and for use; Hydra's own look is for the mode, which it then adds."""
        looks, key = self.looks or not validate_sweep_overrides, (config_name, *overrides)
        more = 0 if key in self.seen or overrides[-1:] not in MODES else 1
        key = key[: len(key) - more]
        config = self.seen.get(key) if looks else self.seen.pop(key, None)
        if config is None or "???" in config.hydra.runtime.choices.values():  # what only a sweep may leave open
            config = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
            if looks and len(self.seen) < SEEN:
                self.seen[config_name, *overrides] = config
        elif validate_sweep_overrides:
            parsed = OverridesParser.create().parse_overrides(overrides)
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
            self._apply_overrides_to_config(parsed[len(parsed) - more :], config)
            config.hydra.overrides.hydra.extend(overrides[len(parsed) - more :])
        return config

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        """Refuse what would add places to look for configs in: to look into a package runs it."""
        given = any(override.key_or_group == "hydra.searchpath" for override in parsed_overrides)
        primary = None if config_name is None else repo.load_config(config_name)
        if given or (primary is not None and OmegaConf.select(primary.config, "hydra.searchpath")):
            raise UserError("hydra.searchpath is refused: name one more folder of configs by --config-dir")


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
