"""The configs of a job's runs, as plain values."""

import re
from collections.abc import Sequence
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.check_once import check_once
from experiments.config.check_values import check_values
from experiments.terminal.errors import describe
from intrinsic.errors import UserError


def members(cfg: DictConfig) -> list[dict[str, Any]]:
    """The changes that make each run's config, of a batch; of a single run none.

    Raises:
        UserError: for replicas outside a sweep.
    """
    if cfg["batch"] is None and (cfg["replicas"] == 1 or sweeping()):
        return [{}]
    if not sweeping():
        given = f"batch={cfg['batch']}" if cfg["batch"] is not None else f"replicas={cfg['replicas']}"
        raise UserError(f"replicas are runs of a sweep, got {given} without -m: add -m and values of seed or lr")
    return list(cfg["batch"])


def resolve(cfg: DictConfig, member: dict[str, Any], overrides: Sequence[str] | None = None) -> dict[str, Any]:
    """One run's config as plain values, with the keys that it declares and no others: without its batch.

    Args:
        cfg: of its job.
        member: what it changes there.
        overrides: that made the job's config; None: those of the job that runs.

    Raises:
        UserError: for a key that is added or removed, a seed that is given twice, what cannot be resolved, and a value
            that no record can hold.
    """
    if overrides is None:
        overrides = as_typed()
        if not sweeping():
            check_once(overrides)
    for override in overrides:
        if re.match(r"~|\+[^.=@/]+=", override):  # +space.name=value may stay: `build` knows the names
            raise UserError(
                f"cannot take {override}: keys can be set, not added or removed; python run.py --help lists them"
            )
    try:
        config = OmegaConf.to_container(OmegaConf.merge(cfg, member) if member else cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(describe(error)) from None
    config = {key: value for key, value in config.items() if key not in ("replicas", "batch")}  # type: ignore[union-attr]
    check_values(config)
    if type(config["study"]) is int:  # 2026: a name
        config["study"] = str(config["study"])
    return config  # type: ignore[return-value]


def as_typed() -> list[str]:
    """The overrides of the job that runs; one may hold an interpolation, which is left as it is."""
    return cast("list[str]", OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False))


def sweeping() -> bool:
    """Whether the job is one of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN
