"""Load the records of studies, one row a run: the only file here that knows what a record looks like."""

import json
import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.tasks import check_one_task, text
from intrinsic.errors import UserError

FORMAT = 1
STATUSES = ("finished", "diverged", "failed")
SPLITS = ("test", "validation", "train")
AGAIN = "delete its folder and run it again"


def load(
    studies: Sequence[str | Path],
    where: Sequence[str] = (),
    split: str = "test",
    epoch: str = "last",
    runs: Sequence[str] | None = None,
    across: Sequence[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Read every run of the studies' folders; a failed or diverged run is a row without a score.

    Args:
        studies: folders `outputs/<study>`; their runs are put together.
        where: `key=value` filters on the dotted config (`dataset.rotate=90`); `null` also means that the key is absent.
        split: the split that `score` is of: `test`, `validation`, or `train`, which is measured at the last epoch only.
        epoch: `last`, or `best` for each run's best epoch on validation data.
        runs: only runs with these ids; None: all.
        across: dotted config keys in which the tasks of the runs may differ all the same.

    Returns:
        One row a run: study, run_id, folder, status, error, method, projection (a class name), metric, seed, lr, rank,
        dim, trained (numbers), epoch, score, validation_score, config (flat, by dotted key); and notes in words.

    Raises:
        UserError: a folder is missing or has no record, a record is corrupt, a filter leaves nothing, or the runs are
            of different tasks, whose scores don't belong on one axis.
    """
    for name, value, known in (("split", split, SPLITS), ("epoch", epoch, ("last", "best"))):
        if value not in known:
            raise UserError(f"need {name} to be {' or '.join(known)}, got {value!r}")
    if (split, epoch) == ("train", "best"):
        raise UserError("training data are measured when a run ends, got split='train' with epoch='best': take last")
    if not studies:
        raise UserError("need at least one study, got none; pass a folder such as outputs/demo")
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for study in map(Path, studies):
        files, unfinished = _files(study)
        rows += [_row(file, split, epoch) for file in files]
        if unfinished:
            notes.append(f"unfinished runs left out: {unfinished} in {study}; the command that began them ends them")
    frame = pd.DataFrame(rows).astype(dict.fromkeys(("seed", "rank", "dim", "trained", "epoch"), "Int64"))
    frame = frame.sort_values("status", key=lambda status: status.map(STATUSES.index), kind="stable")
    repeated = int(frame["run_id"].duplicated().sum())  # a run's id is a hash of its config: the same run, not a seed
    if repeated:
        notes.append(f"{repeated} of the runs are in several studies and count once")
        frame = frame.drop_duplicates("run_id")
    if runs is not None:
        frame, notes = frame[frame["run_id"].isin(runs)], []
    for condition in where:
        frame = _filter(frame, condition)
    for key in across:
        _need_key(frame, key, "--across KEY", key)
    check_one_task(frame, across)
    return frame.reset_index(drop=True), notes


def _files(study: Path) -> tuple[list[Path], int]:
    """Find the records of one study and count its runs that have none yet."""
    if not study.is_dir():
        beside = study.parent.iterdir() if study.parent.is_dir() else ()
        names = [path.name for path in beside if path.is_dir() and not path.name.startswith(".")]
        near = get_close_matches(study.name, names, n=1, cutoff=0)
        remedy = f"the nearest is {study.parent / near[0]}" if near else "python run.py study=NAME makes outputs/NAME"
        raise UserError(f"no study folder {study}; {remedy}")
    if (study / "record.json").is_file():
        raise UserError(f"{study} is one run and not a study; pass {study.parent}")
    files = sorted(file for file in study.glob("*/record.json") if not file.parent.name.startswith("."))
    folders = [path for path in study.iterdir() if path.is_dir() and re.fullmatch("[0-9a-f]{12}", path.name)]
    unfinished = sum(not (path / "record.json").is_file() for path in folders)
    if not files and any(study.glob("*/*/record.json")):
        raise UserError(f"{study} holds studies and is none; pass {study}/NAME")
    if not files:
        raise UserError(
            f"no record in {study} (unfinished runs: {unfinished}); python run.py study={study.name} adds one"
        )
    return files, unfinished


def _row(file: Path, split: str, epoch: str) -> dict[str, Any]:
    """Read and check one record."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"corrupt record {file}: {error}; {AGAIN}") from error

    def need(path: str, kind: type, otherwise: str) -> Any:
        value = record
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        accepted = (
            isinstance(value, (int, float)) and math.isfinite(value) if kind is float else isinstance(value, kind)
        )
        if not accepted or isinstance(value, bool):
            raise UserError(f"corrupt record {file}: {path} is {text(value)}, not {otherwise}; {AGAIN}")
        return value

    if need("format", int, "a number") != FORMAT:
        raise UserError(
            f"{file} has format {record['format']}, this program reads {FORMAT}; use the version it is from"
        )
    if need("status", str, "a status") not in STATUSES:
        raise UserError(f"corrupt record {file}: status is {record['status']}, not one of {STATUSES}; {AGAIN}")
    metric = record.get("metric", "") if record["status"] == "failed" else need("metric", str, "a name")
    config = _flatten(need("config", dict, "a mapping"))
    numbers = need("numbers", dict, "a mapping") if record.get("numbers") else {}
    score = {"trained": pd.NA, "epoch": pd.NA, "score": math.nan, "validation_score": math.nan}
    if record["status"] == "finished" or numbers.get("trained") is not None:  # a run may fail before they are counted
        score["trained"] = need("numbers.trained", int, "a count")
    if record["status"] == "finished":
        score["epoch"] = need(f"{epoch}.epoch", int, "a number")
        if split == "train" and record[epoch].get("train") is None:
            raise UserError(f"{file} has no training score: it was written before they were; {AGAIN}")
        score["score"] = need(f"{epoch}.{split}.{metric}", float, "a finite number")
        score["validation_score"] = need(f"{epoch}.validation.{metric}", float, "a finite number")
    return {
        "study": need("study", str, "a name"),
        "run_id": need("run_id", str, "a name"),
        "folder": file.parent,
        "status": record["status"],
        "error": " ".join(str(record.get("error") or "").split()),
        "method": need("method", str, "a name"),
        "projection": need("config.projection._target_", str, "a class").rpartition(".")[2],
        "metric": metric,
        "seed": need("config.seed", int, "a number"),
        "lr": next((need(f"config.{key}", float, "a number") for key in ("optim.lr", "lr") if key in config), math.nan),
        **{name: need(f"config.{name}", int, "a count") if name in config else pd.NA for name in ("rank", "dim")},
        **score,
        "config": config,
    }


def _flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Give each leaf of nested mappings its dotted key."""
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    return {k: v for name in node for k, v in _flatten(node[name], f"{prefix}.{name}".lstrip(".")).items()}


def _filter(frame: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Keep the runs whose config meets `key=value`."""
    key, equals, wanted = condition.partition("=")
    _need_key(frame, key if equals else "", "--where KEY=VALUE", condition)
    try:
        same = {wanted, text(json.loads(wanted))}  # 1e-2 and 0.01 are one value
    except ValueError:
        same = {wanted}
    values = frame["config"].map(lambda flat: text(flat.get(key)))
    if not values.isin(same).any():
        raise UserError(f"no run has {condition}; {key} is {', '.join(sorted(set(values)))}")
    return frame[values.isin(same)]


def _need_key(frame: pd.DataFrame, key: str, form: str, given: str) -> None:
    known = sorted({name for flat in frame["config"] for name in flat})
    if key not in known:
        near = get_close_matches(key or given, known, n=1, cutoff=0)[0]
        raise UserError(f"need {form} with a key of the runs' config, got {given}; the nearest is {near}")


def configs(studies: Sequence[str | Path], where: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The flat config of every run, whatever its task: for those who must know which tasks there are to `load`."""
    return list(every(studies, where)["config"])


def every(studies: Sequence[str | Path], where: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of `load`, whatever their tasks, in the order of the studies."""
    frame = pd.DataFrame([_row(file, "test", "last") for study in map(Path, studies) for file in _files(study)[0]])
    for condition in where:
        frame = _filter(frame, condition)
    return frame


def whole(folder: Path) -> dict[str, Any]:
    """The record in a run's folder as it is, for those who show all of it; `load` has checked it."""
    record: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return record
