"""The check of what a single run cannot use."""

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from intrinsic.errors import UserError

SWEEPS = ("hydra.sweeper.", "hydra.launcher.", "hydra.sweep.")


def check_mode() -> None:
    """Check that a single run is given nothing that only a sweep uses: a launcher, a sweeper, a setting of theirs.

    Raises:
        UserError: if it is.
    """
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        return
    chosen = [f"{group}={hydra.runtime.choices[group]}" for group in ("hydra/sweeper", "hydra/launcher")]
    given = [choice for choice in chosen if not choice.endswith("=basic")]
    given += [each for each in hydra.overrides.hydra if each.lstrip("+~").startswith(SWEEPS)]
    if given:
        raise UserError(f"{given[0]} is for sweeps, which -m makes: python run.py -m {' '.join(given)} ...")
