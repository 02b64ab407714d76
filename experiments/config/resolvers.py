"""Numbers that a config computes: `${over_sqrt:5.5,${dim}}`. Imported for its effect, wherever configs are resolved."""

import math
import re
from functools import partial
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from intrinsic.checks import integer
from intrinsic.errors import UserError

READ = ("oc.env", "python_version")  # resolvers that read the machine: what a run is called, and records, would hold it
PLAIN = r"job\.num|runtime\.choices\.\w+"  # what the resolver `hydra` knows that is not of the machine


def over_sqrt(factor: float, count: Any) -> float:
    """Factor / sqrt(count), to three digits: with this rate a step of Adam in `count` coordinates is equally long.

    What is no count is left to those who use it, and refuse it.
    """
    counts = isinstance(count, int) and count > 0
    return float(f"{factor / count**0.5:.3g}") if counts else factor


def latin_square(row: Any, column: Any, size: int, step: int = 1) -> int | None:
    """The letter (row + step column) mod size of a Latin square: it meets each row once, and each column once.

    Squares of two steps are orthogonal where size is a prime and the steps are neither 0 nor equal, modulo size. None
    where row or column is none: a source that has no seed by itself.

    Raises:
        UserError: for a size that is no integer >= 2, or a step that has a divisor in common with it.
    """
    integer("size of latin_square", size, 2)
    if math.gcd(integer("step of latin_square", step), size) != 1:
        raise UserError(f"need a step of latin_square without a divisor in common with size={size}, got step={step}")
    counts = all(isinstance(each, int) and not isinstance(each, bool) for each in (row, column))
    return (row + step * column) % size if counts else None


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
OmegaConf.register_new_resolver("latin_square", latin_square)
refuse_machine()
