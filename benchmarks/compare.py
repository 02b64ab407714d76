"""New results beside old ones: which ratios got worse."""

from collections.abc import Iterator
from typing import Any

LIMIT = 1.1  # times as much as before
# by section: what names a row, and its ratios, of which less is better
RATIOS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "steps": (("network", "projection", "dim"), ("lean_loop", "own_loop", "default_adam")),
    "fit": (("network", "projection", "dim"), ("to_full_loop", "to_own_loop")),
    "products": (("projection", "dim", "full_dim"), ("forward", "adjoint")),
    "size": (("projection", "full_dim", "dtype"), ("ratio", "drawn_bytes", "step_bytes")),
    "start": (("command",), ("to_import",)),
    "peft": ((), ("step",)),
    "peers": (("peer", "ours"), ("ours ÷ peer",)),
}


def compare(new: dict[str, Any], old: dict[str, Any], limit: float = LIMIT) -> list[str]:
    """A line for each ratio of `new` that is more than `limit` times that of `old`, if both have it."""
    before = dict(_ratios(old))
    return [
        f"{name}: {before[name]:.2f} before, {value:.2f} now"
        for name, value in _ratios(new)
        if name in before and value > limit * before[name]
    ]


def _ratios(results: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for section, (keys, names) in RATIOS.items():
        for row in results.get(section, {"rows": []})["rows"]:
            values = {**row, "ours ÷ peer": 1 / row["ratio"]} if section == "peers" else row
            case = ", ".join(f"{key} {row[key]}" for key in keys)
            for name in names:
                if name in values:
                    yield f"{section}: {name} of {case}" if case else f"{section}: {name}", values[name]
