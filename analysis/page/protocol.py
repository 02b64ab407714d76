"""The protocol of a study's runs in words, from their configs."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from analysis.studies.config_keys import value_text
from intrinsic.files.run_id import INCIDENTAL
from intrinsic.files.seed_of import SOURCES

Line = tuple[str, list[str]]  # a heading, and what it says of the runs: one entry where they agree
NAMED = 4  # methods, in the question
MOST = 6  # of different entries; a grid of more is counted
NODES = {
    "Dataset": "dataset", "Model": "model", "Start": "init", "Frozen base": "base", "Epochs": "epochs",
    "Batch size": "batch_size", "Optimiser": "optim", "Schedule": "schedule", "Early stopping": "patience",
}  # fmt: skip
UNSAID = {"_partial_", "_recursive_", "_convert_"} | INCIDENTAL


def question(frame: pd.DataFrame) -> str:
    """What the runs of one task ask."""
    flat = frame["config"].iloc[0]
    data, model = (_name(flat, node) for node in ("dataset", "model"))
    subject = (
        f"How many trainable parameters does {model} need" if model else "How many trainable parameters are needed"
    )
    methods = sorted(set(frame["method"]))
    several = _listed(methods) if len(methods) <= NAMED else f"{len(methods)} methods"
    compared = f", and how do {several} compare" if len(methods) > 1 else f" with {methods[0]}"
    return f"{subject} on {data}{compared}?"


def protocol(frame: pd.DataFrame) -> list[Line]:
    """Say what was trained on what and how, a line for each part of the config that the runs have.

    Args:
        frame: runs of one task, as from `analysis.studies.records.load_records`.
    """
    lines = [("Methods", [_sizes(method, runs) for method, runs in frame.groupby("method")])]
    for heading, node in NODES.items():
        said = [_said(flat, node) for flat in frame["config"]]
        if any(entry is not None for entry in said):
            lines.append((heading, _counted(entry or "none" for entry in said)))
    rates = sorted(set(frame["lr"].dropna()))
    lines.append(("Learning rates", [", ".join(map(value_text, rates)) or "none"]))
    lines.append(("Seeds", [_seeds(frame)]))
    lines.append(("Choices", [
        "Of several settings at one size, the one with the best mean validation score over seeds counts; of settings "
        "with different seeds, less the part of those. Test data are only reported, at the last epoch."
    ]))  # fmt: skip
    return lines


def _seeds(frame: pd.DataFrame) -> str:
    """The seeds of the runs, and those that sources have by themselves: `0; projection 0, 1, 2`."""
    own = {source: {value_text(flat.get(f"seeds.{source}")) for flat in frame["config"]} for source in SOURCES}
    said = [f" {source} {', '.join(sorted(values - {'null'}))}" for source, values in own.items() if values != {"null"}]
    return ";".join([", ".join(map(value_text, sorted(set(frame["seed"])))), *said])


def _name(flat: dict[str, object], node: str) -> str:
    """The shortest name that says which: the task of GLUE, the name of a pretrained model, else the class."""
    for key in ("task", "name", "_target_"):
        value = flat.get(f"{node}.{key}")
        if isinstance(value, str):
            short = value.rpartition(".")[2] if key == "_target_" else value
            package = re.match(r"package:(\w+)", short)
            return package[1] if package else Path(short).name if Path(short).is_absolute() else short
    return ""


def _said(flat: dict[str, object], node: str) -> str | None:
    """A node of the config in a line: the class, then its knobs; None: the config has no such node."""
    if node in flat:
        return "none" if flat[node] in (None, {}) else value_text(flat[node])
    keys = [key for key in flat if key.startswith(f"{node}.")]
    if not keys:
        return None
    target = flat.get(f"{node}._target_")
    knobs = [
        f"{key.removeprefix(f'{node}.')}={value_text(flat[key])}"
        for key in keys
        if UNSAID.isdisjoint(key.split(".")) and key not in (f"{node}._target_", "optim.lr")
    ]
    knobs = [knob.replace("._target_=", "=") for knob in knobs]
    return " ".join([str(target).rpartition(".")[2], *knobs] if target else knobs)


def _counted(entries: Iterable[str]) -> list[str]:
    """The different entries, the most frequent first, with counts where there are several."""
    counts = Counter(entries)
    if len(counts) == 1:
        return list(counts)
    lines = [f"{entry} ({count} of {counts.total()} runs)" for entry, count in counts.most_common(MOST)]
    return lines + [f"and {len(counts) - MOST} more"] * (len(counts) > MOST)


def _sizes(method: object, runs: pd.DataFrame) -> str:
    """Write a method with the ranks and dims that were run."""
    sizes = [
        f"{name} {', '.join(f'{value:,}' for value in sorted(set(runs[name].dropna())))}"
        for name in ("rank", "dim")
        if runs[name].notna().any()
    ]
    return (
        ": ".join([str(method), "; ".join(sizes)] if sizes else [str(method)])
        + f" ({len(runs)} run{'s' * (len(runs) > 1)})"
    )


def _listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
