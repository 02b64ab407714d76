"""The check that seeds are given once: of the same knob given again the last value counts, and nobody sees it."""

import re
from collections.abc import Sequence

from intrinsic.errors import UserError

SEED = re.compile(r"(seed|seeds\.\w+)=(.*)", re.DOTALL)


def check_once(overrides: Sequence[str]) -> None:
    """Check that no seed is given twice by overrides as they were typed, nor one of its swept values.

    Raises:
        UserError: if one is.
    """
    given: dict[str, str] = {}
    for override in overrides:
        found = SEED.fullmatch(override)
        if found is None:
            continue
        name, value = found.groups()
        if name in given:
            raise UserError(f"{name} is given twice, {given[name]} and {value}: give it once")
        given[name] = value
        values = value.split(",") if re.fullmatch(r"[\d,\s]+", value) else []
        twice = [each for number, each in enumerate(values) if each in values[:number]]
        if twice:
            raise UserError(f"{override} names {twice[0]} twice: the two would be one run")
