"""What is printed about a run that ended."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACE = "\0"  # of a run that ends in a worker, where nobody knows what has ended elsewhere: its launcher fills it in


def knobs(config: dict[str, Any]) -> str:
    """What a reader wants to know of a configuration: `lora rank=4 seed=0`."""
    parts = [config["method"]]
    projection = config["projection"]["_target_"].rpartition(".")[2]
    if projection != "Identity":
        parts.append(projection.lower())
    own = {*_keys(config["space"]), *_keys(config["subspace"])}  # a knob stands at the top and where it is used
    sizes = [key for key, value in config.items() if key in own and isinstance(value, int)]
    return " ".join([*parts, *(f"{key}={config[key]}" for key in [*sizes, "seed"])])


def _keys(node: Any) -> Iterator[str]:
    """The keys of nested mappings."""
    if isinstance(node, dict):
        yield from node
        for value in node.values():
            yield from _keys(value)


def summary(record: dict[str, Any], folder: Path) -> str:
    """One line about a run that ended."""
    metric = record["metric"]
    if record["status"] == "diverged":
        result = f"diverged in epoch {record['last']['epoch']}"
    else:
        result = f"test {metric} {record['last']['test'][metric]:.4f}"
    numbers = f"{record['numbers']['trained']:,} numbers"
    return f"{knobs(record['config']):38} {result}  {numbers:>16}  {record['seconds']:6.1f} s  {folder}"


def position(job: int, ended: int) -> str:
    """`[3/12, 40 s left] ` for the run that ended as the job's `ended`-th.

    The sweeper says how many runs each job has and when it began. `PLACE` in a worker.
    """
    if "INTRINSIC_WORKER" in os.environ:
        return PLACE
    if "INTRINSIC_SWEEP" not in os.environ:
        return ""
    sizes, began = os.environ["INTRINSIC_SWEEP"].split()
    counts = [int(size) for size in sizes.split(",")]
    done, count = sum(counts[:job]) + ended, sum(counts)
    left = (time.time() - float(began)) / done * (count - done)
    return f"[{done:{len(str(count))}}/{count}, {left:4.0f} s left]  "
