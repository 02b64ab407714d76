"""Checks of what others hand in, each in one line."""

import math
import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import psutil

from intrinsic.errors import UserError

THREADS = 16  # of one process, for each core
PROCESSES = 8  # for each core: what they need beside it, memory, is a matter of what they do


def check_module(model: Any) -> None:
    """Check that a model is one.

    Raises:
        UserError: for any other object.
    """
    from torch import nn  # slow to import, and not what a launcher checks

    if not isinstance(model, nn.Module):
        raise UserError(f"need a torch.nn.Module as model, got {type(model).__name__}")


def integer(name: str, value: Any, least: int | None = None, most: int | None = None, *, of: str = "") -> int:
    """Return an integer of any type, numpy's too, as an int. `of` says whose it is.

    Raises:
        UserError: for what is none, a bool, and one outside of `least` to `most`.
    """
    ends = least is not None and most is not None
    bounds = f" from {least} to {most}" if ends else f" >= {least}" if least is not None else ""
    found = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if found is None or (least is not None and found < least) or (most is not None and found > most):
        raise UserError(f"{of and of + ': '}need an integer {name}{bounds}, got {name}={value!r:.100}")
    return found


def share(name: str, value: Any, *, of: str = "") -> float:
    """Return a number from 0 to below 1, such as a dropout, as a float. `of` says whose it is.

    Raises:
        UserError: for any other value.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise UserError(f"{of and of + ': '}need 0 <= {name} < 1, got {name}={value!r:.100}")
    return float(value)


def number(name: str, value: Any, least: float = -math.inf) -> float:
    """Return a finite number of any type as a float.

    Raises:
        UserError: for what is none, a bool, and one that is not finite, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or float(value) < least:
        bound = "" if least == -math.inf else f" >= {least:g}"
        raise UserError(f"need a finite {name}{bound}, got {name}={value!r:.100}")
    return float(value)


def numbers(name: str, values: Any) -> list[Any]:
    """Return several numbers, such as a list, an array or a column, as a list.

    Raises:
        UserError: for what cannot be counted, and what holds something else than numbers.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UserError(f"need {name} as a list of numbers, got {name}={values!r:.100}")
    found = list(values)
    wrong = [each for each in found if isinstance(each, bool) or not isinstance(each, Real)]
    if wrong:
        raise UserError(f"need {name} as a list of numbers, got {wrong[0]!r:.100} in it")
    return found


def at_most(each: int) -> int:
    """So many for each core, 64 on a small machine: more would end the machine and not the work."""
    return max(64, each * (os.cpu_count() or 1))


def check_memory(nbytes: int, what: Path | str) -> None:
    """Check, before anything is allocated, that `nbytes` for `what`, a file or a model, are free.

    Raises:
        UserError: if they are not.
    """
    free = psutil.virtual_memory().available
    if nbytes > free:
        needed = min(nbytes, 10**24) / 1e9  # a float, whatever was asked for
        raise UserError(f"{what} needs {needed:.1f} GB, {free / 1e9:.1f} GB of memory are free: use a smaller one")
