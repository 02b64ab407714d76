"""Records of runs: one run, one folder, one record.json, written atomically."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.files.read_json import read_json

FORMAT = 1
NAME = "record.json"
AGAIN = "delete it to run again"
OUTPUT = "choose another folder with output="
# top-level knobs that do not change a run's numbers: where things lie, where and beside whom they run, and who is told
INCIDENTAL = frozenset(
    {"output", "study", "data_dir", "logger", "device", "threads", "checkpoint_seconds", "replicas", "batch"}
)

# what configs of earlier versions name, and where it is now
RENAMED = {
    "intrinsic.linear_warmup.LinearWarmup": "intrinsic.training.linear_warmup.LinearWarmup",
    "experiments.wandb_logger.WandbLogger": "experiments.loggers.wandb_logger.WandbLogger",
}


def run_id(config: Mapping[str, Any]) -> str:
    """A hash of a resolved config less `INCIDENTAL` knobs and the dataset's folder: 12 hexadecimal digits.

    `threads` are part of it where they are set: sums of several threads have other last bits. Left to torch, they are
    the machine's (one, under a launcher that gives each job one), as the device is: the record says which. What was
    renamed counts under its first name, so that ids stay.
    """
    essential = {key: value for key, value in config.items() if key not in INCIDENTAL}
    if config.get("threads") is not None:
        essential["threads"] = config["threads"]
    if isinstance(essential.get("dataset"), Mapping):
        essential["dataset"] = {key: value for key, value in essential["dataset"].items() if key != "data_dir"}
    first_names = renamed(essential, {new: old for old, new in RENAMED.items()})
    return hashlib.sha256(json.dumps(first_names, sort_keys=True).encode()).hexdigest()[:12]


def renamed(config: Any, names: Mapping[str, str] = RENAMED) -> Any:
    """A config, as JSON has it, in which targets that have moved have the names of today."""

    def today(node: dict[str, Any]) -> dict[str, Any]:
        target = node.get("_target_")
        return {**node, "_target_": names[target]} if isinstance(target, str) and target in names else node

    return json.loads(json.dumps(config), object_hook=today)  # unlike a recursion of our own, as deep as JSON may be


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `folder`/record.json.

    Raises:
        UserError: if it cannot be written.
    """
    text = json.dumps({"format": FORMAT, **record}, indent=1, allow_nan=False)
    write_atomically(folder / NAME, lambda path: path.write_text(text + "\n"), remedy=OUTPUT)


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run's folder, None if there is none yet.

    It has what others read of it: always run_id, study, method, status and config; of a run that finished or diverged
    also metric, numbers.trained, seconds and last.epoch, and of one that finished last.test[metric].

    Raises:
        UserError: if it is not a record, or of another format.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    record = read_json(path, remedy=AGAIN)
    if not isinstance(record, dict) or "format" not in record:
        raise UserError(f"{path} is not a record: {AGAIN}")
    if record["format"] != FORMAT:
        raise UserError(f"{path} has format {record['format']!r:.50}, need {FORMAT}: {AGAIN}")
    for name, kinds in _needs(record).items():
        found: Any = record
        for key in name.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, bool) or not isinstance(found, kinds):
            raise UserError(f"{path} is not a record ({name!r} is {found!r:.50}): {AGAIN}")
    return {**record, "config": renamed(record["config"])}


def _needs(record: dict[str, Any]) -> dict[str, type | tuple[type, ...]]:
    needs: dict[str, type | tuple[type, ...]] = dict.fromkeys(("status", "run_id", "method"), str)
    needs |= {"study": (str, int), "config": dict}
    if record.get("status") in ("finished", "diverged"):
        needs |= {"metric": str, "numbers.trained": int, "seconds": (int, float), "last.epoch": int}
    if record.get("status") == "finished" and "." not in str(record.get("metric")):
        needs[f"last.test.{record.get('metric')}"] = (int, float)
    return needs


def plain_numbers(node: Any) -> Any:
    """Replace numbers that JSON cannot hold (NaN, infinity) by None, at any depth."""
    if isinstance(node, float) and (node != node or node in (float("inf"), float("-inf"))):
        return None
    if isinstance(node, Mapping):
        return {key: plain_numbers(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain_numbers(value) for value in node]
    return node
