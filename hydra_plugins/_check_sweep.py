"""The check of how many runs a sweep may be."""

from collections.abc import Sequence
from itertools import islice

from hydra.core.override_parser.types import Override

from intrinsic.errors import UserError

RUNS = 100_000  # of one sweep: more than anybody waits for, and each is held in memory


def check_sweep(overrides: Sequence[Override]) -> None:
    """Check, without listing them, that the combinations of the swept values are one at least and `RUNS` at most.

    Raises:
        UserError: if they are not.
    """
    count = 1
    for override in overrides:
        if override.is_sweep_override() and override.is_discrete_sweep():  # of others Hydra says that it has no list
            values = sum(1 for _ in islice(override.sweep_iterator(), RUNS + 1))
            if not values:
                raise UserError(f"{override.input_line} names no value: give one at least")
            count *= values
    if count > RUNS:
        swept = " ".join(str(each.input_line) for each in overrides if each.is_sweep_override())
        raise UserError(f"need a sweep of {RUNS:,} runs at most, got {swept:.200}: sweep in parts")
