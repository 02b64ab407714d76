"""The check of any value of a config, whatever it is for: records and figures must hold it as it is."""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from intrinsic.errors import UserError

LONGEST = 4096  # letters of a text


def check_values(value: Any, name: str = "") -> None:
    """Check every value at any depth: null, true and false, numbers, texts, and lists and mappings of such.

    Raises:
        UserError: for an integer of more than 64 bits, infinity, not a number, a zero with a sign, a text that is too
            long or has control characters, a key that is no text, and any other kind of value.
    """
    if isinstance(value, Mapping):
        for key, item in sorted(value.items(), key=lambda pair: isinstance(pair[1], Mapping | list)):  # own knobs first
            if not isinstance(key, str):
                raise UserError(f"need texts as keys, got {name or 'a config'} with the key {key!r}: quote it")
            check_values(key, f"a key of {name or 'the config'}")
            check_values(item, f"{name}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_values(item, f"{name}[{index}]")
    elif isinstance(value, str):
        if len(value) > LONGEST or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
            raise UserError(f"need a text of one line of at most {LONGEST} letters, got {name}={value[:50]!r}")
    elif isinstance(value, float):
        if not math.isfinite(value) or math.copysign(1.0, value) < 0 == value:
            raise UserError(f"need a finite number, a zero without a sign, got {name}={value}")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise UserError(f"need an integer of 64 bits, -2^63 to 2^63 - 1, got {name}={str(value)[:50]}")
    elif value is not None:
        raise UserError(f"need a number, a text, true, false, null, or a list or mapping of such, got {name}={value!r}")
