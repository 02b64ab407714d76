"""Hydra with a guard: what a config says to Hydra itself is checked before Hydra acts on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.types import RunMode
from omegaconf import DictConfig
from yaml import YAMLError  # type: ignore[import-untyped]

from experiments.config.hydra_internals import ClosedLoader, composing_with, given_options
from experiments.config.hydra_settings import check_hydra
from experiments.config.resolvers import refuse_machine
from intrinsic.errors import UserError
from intrinsic.own_packages import allowed, look_in


class GuardedLoader(ClosedLoader):
    """Composes as Hydra does, in every process, and refuses what would have Hydra call, read or write anything else."""

    not_a_sweep: Exception | None = None  # why a command could not be composed as a sweep

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
        with self._saying_why(run_mode):
            refuse_machine()
            try:
                config = super().load_configuration(
                    config_name, overrides, run_mode, from_shell, validate_sweep_overrides
                )
            except KeyError as error:  # Hydra looks up what it shall copy
                raise UserError(f"there is no environment variable {error}: leave hydra.job.env_copy empty") from None
            except (YAMLError, UnicodeDecodeError) as error:
                raise UserError(f"a file of the config is not YAML: {' '.join(str(error).split())}") from None
            except ValueError as error:
                if "integer string conversion" not in str(error):  # Python's limit, on what Hydra and YAML read
                    raise
                raise UserError(f"need integers of 64 bits: {error}") from None
            if config_name is not None:  # without one Hydra describes itself
                check_hydra(config)
            return config

    @contextmanager
    def _saying_why(self, run_mode: RunMode) -> Iterator[None]:
        """Have a run that cannot be composed say why it was no sweep, if that is what failed first.

        Hydra tries a command without -m as a sweep first, as an experiment may be one, and keeps an error of that to
        itself: a run of it then ends in values that only a sweep has, which is not what is wrong.
        """
        try:
            yield
        except Exception as error:
            if run_mode == RunMode.MULTIRUN:
                self.not_a_sweep = error
            said = self.not_a_sweep or error
            raise said from said.__cause__


@contextmanager
def guarded() -> Iterator[None]:
    """Let `hydra.main` compose with `GuardedLoader`, and find the user's own packages in the folder of now.

    Raises:
        UserError: for --experimental-rerun, which reads a pickle: what calls anything; and for a damaged list of the
            user's own packages.
    """
    allowed()
    look_in(Path.cwd())
    if given_options().experimental_rerun is not None:
        raise UserError("--experimental-rerun is refused: it reads a pickle; the same command continues a run")
    with composing_with(GuardedLoader):
        yield
