"""Hydra with a guard: what a config says to Hydra itself is checked before Hydra acts on it."""

from collections.abc import Iterator
from contextlib import contextmanager

import hydra._internal.hydra as composer
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from experiments.config.hydra_settings import check_hydra
from experiments.config.resolvers import refuse_machine
from intrinsic.errors import UserError


class GuardedLoader(ConfigLoaderImpl):
    """Composes as Hydra does, in every process, and refuses what would have Hydra call, read or write anything else."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a config.

        Raises:
            UserError: for settings of Hydra that are not this program's, a damaged file, and values of the machine.
        """
        refuse_machine()
        try:
            config = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        except KeyError as error:  # Hydra looks up what it shall copy
            raise UserError(f"there is no environment variable {error}: leave hydra.job.env_copy empty") from None
        except (YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"a file of the config is no YAML: {' '.join(str(error).split())}") from None
        except ValueError as error:
            if "integer string conversion" not in str(error):  # Python's limit, on what Hydra and YAML read
                raise
            raise UserError(f"need integers of 64 bits: {error}") from None
        if config_name is not None:  # without one Hydra describes itself
            check_hydra(config)
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
def guarded() -> Iterator[None]:
    """Let `hydra.main` compose with `GuardedLoader`.

    Raises:
        UserError: for --experimental-rerun, which reads a pickle: what calls anything.
    """
    if get_args_parser().parse_args().experimental_rerun is not None:
        raise UserError("--experimental-rerun is refused: it reads a pickle; the same command goes on with a run")
    usual, composer.ConfigLoaderImpl = composer.ConfigLoaderImpl, GuardedLoader  # type: ignore[misc]
    try:
        yield
    finally:
        composer.ConfigLoaderImpl = usual  # type: ignore[misc]
