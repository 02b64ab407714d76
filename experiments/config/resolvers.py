"""Numbers that a config computes: `${over_sqrt:5.5,${dim}}`. Imported for its effect, wherever configs are resolved."""

import re
from functools import partial
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from intrinsic.errors import UserError

READ = ("oc.env", "python_version")  # resolvers that read the machine: what a run is called, and records, would hold it
PLAIN = r"job\.num|runtime\.choices\.\w+"  # what the resolver `hydra` knows that is not of the machine


def over_sqrt(factor: float, count: Any) -> float:
    """Factor / sqrt(count), to three digits: with this rate a step of Adam in `count` coordinates is equally long.

    What is no count is left to those who use it, and refuse it.
    """
    counts = isinstance(count, int) and count > 0
    return float(f"{factor / count**0.5:.3g}") if counts else factor


def refuse_machine() -> None:
    """Refuse what reads the environment or other things of this machine; Hydra brings some of it again and again."""
    for name in READ:
        OmegaConf.register_new_resolver(name, partial(_refuse, name), replace=True)
    OmegaConf.register_new_resolver("hydra", _of_hydra, replace=True)


def _refuse(name: str, *arguments: Any) -> NoReturn:
    given = ",".join(map(str, arguments))
    raise UserError(f"${{{name}:{given}}} is refused: a config reads nothing of the machine, give the value itself")


def _of_hydra(path: str, *, _root_: Any) -> Any:
    if not re.fullmatch(PLAIN, path):
        _refuse("hydra", path)
    return OmegaConf.select(_root_["hydra"] if "hydra" in _root_ else HydraConfig.get(), path)  # type: ignore[arg-type]


OmegaConf.register_new_resolver("over_sqrt", over_sqrt)
refuse_machine()
