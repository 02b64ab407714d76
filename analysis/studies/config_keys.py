"""Config keys that runs have in common, and those where they differ."""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import pandas as pd

from analysis.studies.plain import plain
from intrinsic.errors import UserError
from intrinsic.files.run_id import INCIDENTAL, SINCE, SINCE_OF
from intrinsic.files.seed_of import SOURCES

# config nodes that say what is trained, which of its parts learn faster, and how a projection chooses weights
METHOD = {"rank", "dim", "head", "space", "projection", "subspace", "lr_groups", "lr_ratio"}
METHOD |= {"select_by", "select_batches"}
FREE = METHOD | {"method", "seed", "seeds", "lr", "optim"} | INCIDENTAL  # what may differ between the runs of one task

PLAIN = {str, int, float, bool, type(None)}


def value_text(value: Any) -> str:
    """Write a config value so that equal values have equal texts: 1 and 1.0 both become `1`."""
    if isinstance(value, str):
        return value
    if type(value) is int:  # as JSON has it, in a tenth of the time
        return str(value)
    return repr(value).removesuffix(".0") if isinstance(value, float) else plain(json.dumps(value))


def varying_keys(frame: pd.DataFrame, keep: Callable[[str], bool], copied: Sequence[str]) -> list[str]:
    """Name the config keys with `keep(key)` that differ between runs, less those that repeat one of the `copied`.

    A key repeats another where it is there: the seed of a source that some runs have and others do without. A knob
    that came later has in an earlier run what runs had before there was one.
    """
    configs = list(frame["config"])
    texts: dict[str, list[str]] = {}

    def column(key: str) -> list[str]:
        if key not in texts:
            texts[key] = [value_text(_value(flat, key)) for flat in configs]
        return texts[key]

    found = []
    for key in sorted(filter(keep, keys_of(configs))):
        if _is_constant([_value(flat, key) for flat in configs]) or len(set(column(key))) == 1:
            continue
        there = [number for number, flat in enumerate(configs) if key in flat]
        own = [column(key)[number] for number in there]
        copies = [name for name in copied if name != key and [column(name)[number] for number in there] == own]
        if not copies or len(set(own)) == 1:  # one value is equal to many
            found.append(key)
    return found


def _value(flat: dict[str, Any], key: str) -> Any:
    if key in flat:
        return flat[key]
    part, _, name = key.partition(".")
    return SINCE_OF.get(str(flat.get(f"{part}._target_")), {}).get(name) if name else SINCE.get(key)


def keys_of(configs: Iterable[dict[str, Any]]) -> set[str]:
    """The keys that any config has; most have the same."""
    return {key for keys in {tuple(flat) for flat in configs} for key in keys}


def _is_constant(values: list[Any]) -> bool:
    """Whether they are surely one plain value, found without their texts."""
    kinds = set(map(type, values))
    return len(kinds) == 1 and kinds <= PLAIN and values.count(values[0]) == len(values)


def task_keys(frame: pd.DataFrame, across: Sequence[str] = ()) -> list[str]:
    """Name the config keys, neither FREE nor `across`, that differ between runs: those of runs of one task don't."""
    knobs = {key.rpartition(".")[2] for key in keys_of(frame["config"]) if key.partition(".")[0] in METHOD}
    free = FREE | knobs  # a method's knob stands at the top, too: bottleneck, for space.bottleneck
    free |= set(across)
    keys = varying_keys(frame, lambda key: free.isdisjoint([key, key.partition(".")[0]]), copied=("seed", *across))
    return [key for key in keys if INCIDENTAL.isdisjoint(key.split("."))]  # dataset.data_dir, too


def seeds_text(flat: dict[str, Any]) -> str:
    """The seeds from which each source of chance of a run draws: two runs with one text differ by no seed."""
    own = [flat.get(f"seeds.{source}") for source in SOURCES]
    return ", ".join(value_text(flat.get("seed") if seed is None else seed) for seed in own)


def keys_under(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The keys of the configs that the names stand for: a key for itself, a node such as `model` for all below it.

    Both where it is null in some runs, as `init.source` is.
    """
    known = sorted(keys_of(frame["config"]))
    below = {name: [key for key in known if f"{key}.".startswith(f"{name}.")] for name in names}
    return [key for name in names for key in below[name] or [name]]


def check_one_task(frame: pd.DataFrame, across: Sequence[str]) -> None:
    """Refuse runs whose configs differ in anything that is neither FREE nor `across`."""
    metrics = sorted(set(frame["metric"]) - {""})  # a run may fail before its task names the metric
    if len(metrics) > 1:
        raise UserError(f"the runs are of different tasks, with the metrics {' and '.join(metrics)}; pass one study")
    keys = task_keys(frame, across)
    if keys:
        key = min(keys, key=lambda name: (not name.endswith("_target_"), name))  # a class explains its arguments
        counts = Counter(sorted(value_text(flat.get(key)) for flat in frame["config"]))
        shown = " or ".join(f"{value} ({count} of {len(frame)})" for value, count in counts.most_common(4))
        remedy = f"pass one study, or --where {shlex.quote(f'{key}={counts.most_common(1)[0][0]}')}"
        remedy += f"; --across {_outermost(key, keys_of(frame['config']))} puts them side by side"
        raise UserError(f"the runs are of different tasks: {key} is {shown}{' or …' * (len(counts) > 4)}; {remedy}")


def _outermost(key: str, keys: Collection[str]) -> str:
    """The key, or the node above it that is itself among the keys, null in some runs."""
    return min((name for name in keys if f"{key}.".startswith(f"{name}.")), key=len)
