"""The line that is printed about a run that ended."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from intrinsic.files.records import Record
from intrinsic.files.seed_of import own_seeds


def knobs(config: dict[str, Any], swept: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a reader wants to know of a configuration: `lora rank=4 seed=0`; and what else is `swept`, by key."""
    parts = [config["method"]]
    projection = config["projection"]["_target_"].rpartition(".")[2]
    if projection != "Identity":
        parts.append(projection.lower())
    own = {*_keys(config["space"]), *_keys(config["subspace"])}  # a knob stands at the top and where it is used
    sizes = [key for key, value in config.items() if key in own and isinstance(value, int)]
    if config.get("redraw") is not None:  # absent from records of older versions
        sizes.append("redraw")
    seeds = [f"seeds.{source}={seed}" for source, seed in own_seeds(config).items()]
    said = {"method", "projection", *sizes, "seed"}
    others = [f"{key}={value}" for key, value in swept.items() if key not in said and not key.startswith("seeds.")]
    return " ".join([*parts, *(f"{key}={config[key]}" for key in [*sizes, "seed"]), *seeds, *others])


def _keys(node: Any) -> Iterator[str]:
    """The keys of nested mappings."""
    if isinstance(node, dict):
        yield from node
        for value in node.values():
            yield from _keys(value)


def summary(record: Record, folder: Path, swept: Mapping[str, str], *, skipped: bool = False, device: str = "") -> str:
    """One line about a run that ended, now or before; with what is `swept`, by key.

    A run's id does not say its device: where it was done before, and a `device` was asked for by name, the line does.
    """
    result = f"diverged in epoch {record.epochs()}"
    if record.status == "finished":
        begun = record.start("test")
        before = "" if begun is None else f"{begun:.4f} → "
        result = f"test {record.metric} {before}{record.score('test'):.4f}"
    count = f"{record.count():,} parameters"
    made = record.environment.get("device") if isinstance(record.environment, dict) else None
    other = device not in ("", "auto") and isinstance(made, str) and (device == "cpu") != (made == "cpu")
    note = f" (skipped: already there{f', made on {made}' * other})" * skipped
    return f"{knobs(record.config, swept):38} {result}  {count:>19}  {record.seconds:6.1f} s  {folder}{note}"
