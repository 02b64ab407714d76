"""What tells runs apart that have other numbers from those whose configs say the same in another way."""

from collections.abc import Mapping
from typing import Any

from intrinsic.files.run_id import run_id
from intrinsic.files.seed_of import SOURCES


def same_numbers(config: Mapping[str, Any]) -> str:
    """The run id without what leaves a run's numbers as they are, but for the last bits, and is part of the id.

    The number of threads; 1 for 1.0; the seed of a source that is that of the run: `seeds.init=0` beside `seed=0`.
    """
    own = config.get("seeds")
    given = own if isinstance(own, Mapping) else {}
    seeds = {key: config.get("seed") if given.get(key) is None else given[key] for key in {*SOURCES, *given}}
    return run_id(_whole({**config, "threads": None, "seeds": seeds}))


def _whole(node: Any) -> Any:
    """The same with whole numbers as integers."""
    if isinstance(node, Mapping):
        return {key: _whole(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_whole(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node
