"""The records of studies as a table, one row a run."""

import json
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.config_keys import check_one_task, keys_of, keys_under, value_text
from analysis.studies.other_data import other_data
from analysis.studies.row_of import row_of
from intrinsic.errors import UserError
from intrinsic.files.records import NAME, STATUSES

SPLITS = ("test", "validation", "train")
NAMED = 5  # unusable records that are named one by one
IN_NOTHING = "in their threads, or in how a number or a seed is written,"


def load_records(
    studies: Sequence[str | Path],
    where: Sequence[str] = (),
    split: str = "test",
    epoch: str = "last",
    runs: Sequence[str] | None = None,
    across: Sequence[str] = (),
    metric: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Read every run of the studies' folders; a failed or diverged run is a row without a score.

    The same run in two studies, by another number of threads, or with a number or a seed written otherwise (lr=1 and
    1.0, seeds.init=0 beside seed=0) counts once: it is no other seed.

    A record that can't be used (damaged, or with numbers that no run has) is left out, and a note names it.

    Args:
        studies: folders `outputs/<study>`; their runs are put together.
        where: `key=value` filters on the dotted config (`dataset.rotate=90`); `null` also means that the key is absent.
        split: the split that `score` is of: `test`, `validation`, or `train`, which is measured at the last epoch only.
        epoch: `last`, or `best` for each run's best epoch on validation data.
        runs: only runs with these ids; None: all.
        across: dotted config keys, or nodes such as `model`, in which the tasks of the runs may differ all the same.
        metric: which of a task's metrics the scores are of, those on validation data, too; None: the one that the run
            itself chose by, as it chose its best epoch in any case.

    Returns:
        One row a run: study, run_id, same_numbers (see `analysis.studies.same_numbers`), folder, status, error,
        method, projection (a class name), metric, seed, lr, rank, dim, trained (a count), epoch, score,
        validation_score, start and constant (the split's score before training and that of a constant answer, NaN where
        a record has none), files (hashes of the user's own, by name), config (flat, by dotted key); and notes in words.

    Raises:
        UserError: a folder is missing or has no record that can be used, a filter leaves nothing, or the runs are of
            different tasks, whose scores don't belong on one axis.
    """
    for name, value, known in (("split", split, SPLITS), ("epoch", epoch, ("last", "best"))):
        if value not in known:
            raise UserError(f"need {name} to be {' or '.join(known)}, got {value!r}")
    if (split, epoch) == ("train", "best"):
        raise UserError("training data are measured when a run ends, got split='train' with epoch='best': use last")
    if not studies:
        raise UserError("need at least one study, got none; pass a folder such as outputs/demo")
    rows, notes, unusable = _read(studies, split, epoch, metric)
    frame = pd.DataFrame(rows).astype(dict.fromkeys(("rank", "dim", "trained", "epoch"), "Int64"))
    frame = frame.astype({"seed": object})  # of 64 bits without a sign, too
    frame = _finished_first(frame)
    repeated = int(frame["run_id"].duplicated().sum())  # a run's id is a hash of its config: the same run, not a seed
    if repeated:
        notes.append(f"{repeated} of the runs are in several studies and count once{_apart(frame)}")
        frame = frame.drop_duplicates("run_id")
    if runs is not None:
        frame, notes = frame[frame["run_id"].isin(runs)], []
    frame = meeting(frame, where)
    again = int(frame["same_numbers"].duplicated().sum())
    if again:
        notes.append(f"{again} of the runs differ from others {IN_NOTHING} alone, and count once")
        frame = frame.drop_duplicates("same_numbers")
    across = keys_under(frame, across)
    for key in across:
        _need_key(frame, key, "--across KEY", key)
    check_one_task(frame, across)
    return frame.reset_index(drop=True), [*notes, *other_data(frame), *unusable]


def _read(
    studies: Sequence[str | Path], split: str, epoch: str, metric: str | None = None
) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The rows of all usable records, and what is left out: notes on unfinished runs, and on unusable records."""
    found = {study: _files(study) for study in map(Path, studies)}
    rows, unusable = _rows([file for study in map(Path, studies) for file in found[study][0]], split, epoch, metric)
    unfinished = [
        f"unfinished runs left out: {count} in {study}; the command that started them finishes them"
        for study, (_, count) in found.items()
        if count
    ]
    return rows, unfinished, unusable


def _apart(frame: pd.DataFrame) -> str:
    """What is to be said of runs that have other scores in another study: other data, versions or machines."""
    kinds = frame.groupby("run_id")["score"].nunique()
    return f", {(kinds > 1).sum()} with other scores there: that of the first study is taken" * bool((kinds > 1).any())


def _finished_first(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("status", key=lambda status: status.map(STATUSES.index), kind="stable")


def _rows(
    files: Iterable[Path], split: str, epoch: str, metric: str | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The runs whose records can be used, and a line for each of the others (of many: for the first).

    Raises:
        UserError: if no record can be used, or none has the metric, why the first can't.
    """
    rows, problems = [], []
    for file in files:
        try:
            rows.append(row_of(file, split, epoch, metric))
        except UserError as error:
            problems.append(str(error))
    if not rows or (metric is not None and problems and not any(row["status"] == "finished" for row in rows)):
        raise UserError(problems[0])
    notes = [f"left out: {problem}" for problem in problems[:NAMED]]
    return rows, notes + [f"left out: {len(problems) - NAMED} more records"] * (len(problems) > NAMED)


def _files(study: Path) -> tuple[list[Path], int]:
    """Find the records of one study and count its runs that have none yet."""
    if not study.is_dir():
        beside = study.parent.iterdir() if study.parent.is_dir() else ()
        names = [path.name for path in beside if path.is_dir() and not path.name.startswith(".")]
        near = get_close_matches(study.name, names, n=1, cutoff=0)
        remedy = f"the nearest is {study.parent / near[0]}" if near else "python run.py study=NAME makes outputs/NAME"
        raise UserError(f"no study folder {study}; {remedy}")
    if (study / NAME).is_file():
        raise UserError(f"{study} is one run and not a study; pass {study.parent}")
    files = [file for file in study.glob(f"*/{NAME}") if not file.parent.name.startswith(".")]
    files.sort(key=lambda file: file.parent.name)
    folders = [path for path in study.iterdir() if path.is_dir() and re.fullmatch("[0-9a-f]{12}", path.name)]
    unfinished = sum(not (path / NAME).is_file() for path in folders)
    if not files and any(study.glob(f"*/*/{NAME}")):
        raise UserError(f"{study} holds studies and is none; pass {study}/NAME")
    if not files:
        raise UserError(
            f"no record in {study} (unfinished runs: {unfinished}); python run.py study={study.name} adds one"
        )
    return files, unfinished


def meeting(frame: pd.DataFrame, where: Sequence[str]) -> pd.DataFrame:
    """The runs whose config meets every `key=value`; each key is one of some run, kept or not.

    Raises:
        UserError: if no run has a key, or none meets a condition.
    """
    conditions = [condition.partition("=") for condition in where]
    for (key, equals, _), condition in zip(conditions, where, strict=True):
        _need_key(frame, key if equals else "", "--where KEY=VALUE", condition)
    for (key, _, wanted), condition in zip(conditions, where, strict=True):
        try:
            same = {wanted, value_text(json.loads(wanted))}  # 1e-2 and 0.01 are one value
        except ValueError:
            same = {wanted}
        values = frame["config"].map(lambda flat, key=key: value_text(flat.get(key)))
        if not values.isin(same).any():
            raise UserError(f"no run has {condition}; {key} is {', '.join(sorted(set(values)))}")
        frame = frame[values.isin(same)]
    return frame


def _need_key(frame: pd.DataFrame, key: str, form: str, given: str) -> None:
    known = keys_of(frame["config"])
    if key not in known:
        near = get_close_matches(key or given, sorted(known), n=1, cutoff=0)[0]
        raise UserError(f"need {form} with a key of the runs' config, got {given}; the nearest is {near}")


def configs(studies: Sequence[str | Path], where: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The flat config of every run, whatever its task: to know which tasks there are to `load_records`."""
    return list(every(studies, where)["config"])


def every(studies: Sequence[str | Path], where: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of `load_records`, whatever their tasks, in the order of the studies."""
    return meeting(pd.DataFrame(_read(studies, "test", "last")[0]), where)


def every_once(studies: Sequence[str | Path]) -> tuple[pd.DataFrame, list[str]]:
    """The same with each run once, of a failed and a finished record of it the finished one; and what is left out."""
    rows, *notes = _read(studies, "test", "last")
    return _finished_first(pd.DataFrame(rows)).drop_duplicates("run_id"), [*notes[0], *notes[1]]
