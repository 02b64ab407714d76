"""Results that PEFT has published, or others in its form, as points beside runs.

Source: the files method_comparison/*/results/*.json of github.com/huggingface/peft, as of August 2026.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.config_keys import value_text
from analysis.studies.plain import plain
from analysis.studies.row_of import SIZE
from intrinsic.errors import UserError
from intrinsic.files.read_json import read_json

INFO = ("run_info", "train_info")  # what a result has
WORDS = {"test": "test", "validation": "valid"}  # how it calls the splits


def peft_files(path: Path) -> list[Path]:
    """The results that a path means: a file of JSON, or those in a folder without folders; none for a study."""
    if path.suffix == ".json" and path.is_file():
        return [path]
    if not path.is_dir() or any(each.is_dir() for each in path.iterdir()):
        return []
    return sorted(path.glob("*.json"))


def peft_rows(files: Iterable[Path], metric: str, split: str) -> tuple[pd.DataFrame, list[str]]:
    """A row for each result that has this metric on this split, as `choose_settings` gives rows; and notes.

    A curve is a method's kind, `LORA (PEFT)`; x is its count of trained parameters, the score that of its last step.

    Args:
        files: see `peft_files`.
        metric: of the runs beside them.
        split: of the runs beside them.

    Raises:
        UserError: for a file that is no result.
    """
    rows, others, failed = [], 0, 0
    for file in files:
        content = read_json(file, remedy="give a result in PEFT's form")
        run, training = (content.get(name) if isinstance(content, dict) else None for name in INFO)
        if not isinstance(run, dict) or not isinstance(training, dict):
            raise UserError(f"{file} is no result in PEFT's form: need keys {' and '.join(INFO)} with keys in them")
        if training.get("status") != "success":
            failed += 1
            continue
        steps = training.get("metrics")
        last = steps[-1] if isinstance(steps, list) and steps else None
        if not isinstance(last, dict):
            raise UserError(f"{file} is no result in PEFT's form: train_info.metrics is no list of measurements")
        key = f"{WORDS.get(split, split)} {metric}"
        if key not in last:
            others += 1
            continue
        size = _need(file, "num_trainable_params", training.get("num_trainable_params"), 1, 2**53)
        if size % 1:
            raise UserError(f"{file}: num_trainable_params is {size}, not a count")
        score = float(_need(file, key, last[key], -SIZE, SIZE))
        rows.append({
            "curve": f"{_kind(run)} (PEFT)", "x": int(size), "trained": int(size), "metric": metric, "split": split,
            "score": score, "setting": "published", "tried": 1, "chosen": True, "status": "finished",
            "run_id": plain(str(run.get("experiment_name", file.stem)), 80), "study": "PEFT", "error": "",
        })  # fmt: skip
    notes = [f"results of PEFT left out, without {split} {metric}: {others}"] * bool(others)
    notes += [f"results of PEFT left out, not successful: {failed}"] * bool(failed)
    rows.sort(key=lambda row: (row["curve"], row["x"]))
    return pd.DataFrame(rows), notes


def _kind(run: dict[str, Any]) -> str:
    config = run.get("peft_config")
    kind = config.get("peft_type") if isinstance(config, dict) else None
    return plain(kind if isinstance(kind, str) and kind else "full-finetuning", 40)


def _need(file: Path, name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"{file}: {name} is {plain(value_text(value), 60)}, not a number from {low:g} to {high:g}")
    return value
