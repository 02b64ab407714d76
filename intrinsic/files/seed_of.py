"""The seed of one source of chance, from a run's config."""

from collections.abc import Mapping
from typing import Any

from intrinsic.checks import integer
from intrinsic.errors import UserError

SOURCES = ("init", "projection", "order", "dropout")  # of chance in a run: the keys of `seeds`


def seed_of(config: Mapping[str, Any], source: str) -> int:
    """The seed that a source draws from: `seeds.<source>`, or where that is null, the run's `seed`.

    The bits are those that a run with this number as `seed` draws for that source. An earlier version's config has no
    `seeds`.

    Raises:
        UserError: for a seed by itself that is no integer >= 0, and `seeds` that are no keys of `SOURCES`.
    """
    own = own_seeds(config).get(source)
    seed: int = config["seed"] if own is None else integer(f"seeds.{source}", own, 0)
    return seed


def own_seeds(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sources that have a seed by themselves, with it.

    Raises:
        UserError: for `seeds` that are no keys of `SOURCES`.
    """
    seeds = config.get("seeds", {})
    if not isinstance(seeds, Mapping):
        raise UserError(f"need seeds as keys with values, got seeds={seeds!r:.100}")
    unknown = [key for key in seeds if key not in SOURCES]
    if unknown:
        raise UserError(f"there is no seeds.{unknown[0]}: need one of {', '.join(f'seeds.{each}' for each in SOURCES)}")
    return {source: seed for source, seed in seeds.items() if seed is not None}
