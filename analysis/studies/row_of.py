"""The row of a record, if its numbers are such as runs have."""

import math
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.config_keys import value_text
from analysis.studies.plain import plain
from analysis.studies.record_in import AGAIN, record_in
from analysis.studies.same_numbers import same_numbers
from intrinsic.errors import UserError
from intrinsic.files.records import FORMAT, STATUSES, TRAINED, score_path

COUNT = "a count from 1 to 2^53"
ROWS = 100_000  # that are kept: as many as a sweep may have
SIZE = 1e15  # of a score or a learning rate, at most: what is larger cannot be drawn beside others


def row_of(file: Path, split: str, epoch: str, metric: str | None = None) -> dict[str, Any]:
    """Read and check one record; once in a process, as long as the file stays the same.

    Args:
        file: record.json in a run's folder.
        split: see `analysis.studies.records.load_records`, which also says what is in a row.
        epoch: see `load_records`.
        metric: see `load_records`.

    Raises:
        UserError: if it is not a record, lacks the metric, or holds a number that no run has.
    """
    state = os.stat(file) if file.is_file() else None
    identity = state and (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return dict(_row_of(file, identity, split, epoch, metric))


@lru_cache(ROWS)
def _row_of(file: Path, identity: tuple[int, ...] | None, split: str, epoch: str, asked: str | None) -> dict[str, Any]:
    """The row of a file that is what it was when it had this identity: the figures of a page ask a dozen times."""
    record = record_in(file.parent)

    def need(path: str, value: Any, good: Callable[[Any], bool], otherwise: str) -> Any:
        if not good(value):
            raise UserError(
                f"damaged record {file}: {path} is {plain(value_text(value), 60)}, not {otherwise}; {AGAIN}"
            )
        return value

    def name(path: str, value: Any, otherwise: str = "a name") -> str:
        return str(need(path, value, lambda value: isinstance(value, str), otherwise))

    def knob(path: str) -> Any:
        value: Any = record.config
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    if need("format", record.format, _whole(0, 2**53), "a number") != FORMAT:
        raise UserError(f"{file} has format {record.format}, this program reads {FORMAT}; use the version it is from")
    status = name("status", record.status, "a status")
    if status not in STATUSES:
        raise UserError(f"damaged record {file}: status is {plain(status, 60)}, not one of {STATUSES}; {AGAIN}")
    metric = asked or (record.metric if status == "failed" else name("metric", record.metric))
    config = _flatten(need("config", record.config, lambda value: isinstance(value, dict), "a mapping"))
    count = _whole(1, 2**53)
    score = {"trained": pd.NA, "epoch": pd.NA, "score": math.nan, "validation_score": math.nan}
    score |= {"start": math.nan, "constant": math.nan}  # see `intrinsic.training.start`
    if status == "finished" or record.count() is not None:  # a run may fail before they are counted
        score["trained"] = need(TRAINED, record.count(), count, COUNT)
    finite = _between(-SIZE, SIZE)
    if status == "finished":
        score["epoch"] = need(f"{epoch}.epoch", record.epochs(epoch), _whole(0, 2**53), "a number")
        if split == "train" and not record.measured("train", epoch):
            raise UserError(f"{file} has no training score: it was written before they were; {AGAIN}")
        for key, part in (("score", split), ("validation_score", "validation")):
            if asked is not None and asked not in record.metrics(part, epoch):
                held = ", ".join(plain(each, 60) for each in record.metrics(part, epoch)) or "none"
                raise UserError(f"{file} has no metric {plain(asked, 60)} of {part} data: need one of {held}")
            value = record.score(part, metric, epoch)
            score[key] = float(need(score_path(part, metric, epoch), value, finite, "a finite number"))
        constant = record.constant(split) if metric == record.metric else None  # known of the run's own metric alone
        for key, value in (("start", record.start(split, metric)), ("constant", constant)):
            known = value is not None  # records of before have neither, tasks of tokens no constant
            score[key] = float(need(f"history.0: {key}", value, finite, "a finite number")) if known else math.nan
    rates = [key for key in ("optim.lr", "lr") if key in config]
    method = name("method", record.method)
    return {
        "study": value_text(need("study", record.study, lambda value: isinstance(value, str | int), "a name")),
        "run_id": name("run_id", record.run_id),
        "same_numbers": same_numbers(record.config),
        "folder": file.parent,
        "status": status,
        "error": str(record.error or ""),
        "method": repr(method) if method[:1] in ("", "_") else method,  # a legend leaves out what begins so
        "projection": name("config.projection._target_", knob("projection._target_"), "a class").rpartition(".")[2],
        "metric": metric if isinstance(metric, str) else "",
        "seed": need("config.seed", knob("seed"), _whole(-(2**63), 2**64 - 1), "a number of 64 bits"),
        "lr": float(need(f"config.{rates[0]}", knob(rates[0]), _between(0, SIZE), "a rate")) if rates else math.nan,
        **{key: need(f"config.{key}", knob(key), count, COUNT) if key in config else pd.NA for key in ("rank", "dim")},
        **score,
        "files": record.files if isinstance(record.files, dict) else {},
        "config": config,
    }


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Give each leaf of nested mappings its dotted key."""
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    return {k: v for name in node for k, v in _flatten(node[name], f"{prefix}.{name}".lstrip(".")).items()}
