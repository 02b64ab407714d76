"""Records of runs: one run, one folder, one record.json, written atomically."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from intrinsic.errors import UserError
from intrinsic.files.atomic import write_atomically
from intrinsic.files.plain_numbers import plain_numbers
from intrinsic.files.read_json import read_json
from intrinsic.files.run_id import renamed

FORMAT = 1
NAME = "record.json"
ANSWERS = ("finished", "diverged")  # how a run may end that would end in the same way again
STATUSES = (*ANSWERS, "failed")
LOSSES = ("loss", "perplexity")  # among the scores of a split; lower is better
TRAINED = "numbers.trained"  # where a record has its count of trained parameters, for messages
AGAIN = "delete it to run again"
OUTPUT = "choose another folder with output="


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a run that ended: record.json, whose keys are these names, in this order.

    A file need not hold what is said here: `read_record` checks it, and so does whoever reads one by `content_of`.
    """

    format: int = FORMAT
    run_id: str = ""  # "": the config never came so far that it had one
    study: str | int = ""
    status: str  # one of STATUSES; "error", which is in no file: refused before it began
    method: str = ""
    metric: str | None = None  # None: it failed before its task named one
    last: dict[str, Any] | None = None  # the last epoch: epoch, train_loss, best, seconds, and scores of each split
    best: dict[str, Any] | None = None  # the best one on validation data
    history: list[dict[str, Any]] | None = None  # from epoch 0, the start: see `intrinsic.training.start`
    numbers: dict[str, int] | None = None  # trained, dim, full_dim, head, stored_bytes; init_steps, largest_rank
    seconds: float | None = None
    replicas: int | None = None
    peak_memory_bytes: int | None = None
    fingerprint: str | None = None
    error: str | None = None
    started_at: str | None = None
    files: dict[str, str | None] | None = None  # the user's own, by hash: see `intrinsic.files.own_files`
    environment: dict[str, Any] | None = None  # device, threads, versions, commit
    config: dict[str, Any]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """The record that a file's content is, whatever it holds; what it lacks is None."""
        return cls(**{name: content.get(name) for name in _KEYS})  # type: ignore[arg-type]

    def content(self) -> dict[str, Any]:
        """What record.json holds."""
        names = _OF_FAILED if self.status == "failed" else [name for name in _KEYS if name != "files" or self.files]
        return {name: getattr(self, name) for name in names}

    def finite(self) -> Self:
        """The same with None where a number is not finite, which JSON cannot hold."""
        return type(self)(**{name: plain_numbers(getattr(self, name)) for name in _KEYS})

    @property
    def answered(self) -> bool:
        """Whether the run would end in the same way again."""
        return self.status in ANSWERS

    def count(self, name: str = "trained") -> int | None:
        """How many parameters were trained, or another of `numbers`; None: it was not counted."""
        return _at(self.numbers, name)

    @property
    def own_seconds(self) -> float | None:
        """Of `seconds`, the run's share, where it was trained at once with others."""
        return None if self.seconds is None else self.seconds / (self.replicas or 1)

    def epochs(self, which: str = "last") -> int | None:
        """The number of the last epoch, or of the `best`."""
        return _at(getattr(self, which), "epoch")

    def measured(self, split: str, which: str = "last") -> bool:
        """Whether there are scores of a split."""
        return _at(getattr(self, which), split) is not None

    def score(self, split: str, metric: str | None = None, which: str = "last") -> float | None:
        """The value of a metric, by default the task's, on a split; None if there is none."""
        return _at(_at(getattr(self, which), split), metric or self.metric)

    def metrics(self, split: str, which: str = "last") -> list[str]:
        """The names of the metrics of a split that the record has, of those of which higher is better."""
        scores = _at(getattr(self, which), split)
        return [name for name in scores if name not in LOSSES] if isinstance(scores, dict) else []

    def start(self, split: str, metric: str | None = None) -> float | None:
        """The value of a metric at z = 0, before any training; None in a record from before it was measured."""
        return _at(_at(self._epoch_0(), split), metric or self.metric)

    def constant(self, split: str) -> float | None:
        """The task's metric for the constant predictor (majority class or mean); None as for `start`."""
        return _at(_at(self._epoch_0(), "constant"), split)

    def _epoch_0(self) -> Any:
        first = self.history[0] if isinstance(self.history, list) and self.history else None
        return first if _at(first, "epoch") == 0 else None


def _at(node: Any, key: str | None) -> Any:
    return node.get(key) if isinstance(node, dict) else None


_KEYS = tuple(field.name for field in fields(Record))
_OF_FAILED = ("format", "run_id", "study", "status", "method", "error", "last", "best", "config")


def score_path(split: str, metric: str | None, which: str = "last") -> str:
    """Where a record has the value of a metric, for messages."""
    return f"{which}.{split}.{metric}"


def write_record(folder: Path, record: Record) -> None:
    """Write `folder`/record.json.

    Raises:
        UserError: if it cannot be written.
    """
    text = json.dumps(record.content(), indent=1, allow_nan=False)
    write_atomically(folder / NAME, lambda path: path.write_text(text + "\n"), remedy=OUTPUT)


def content_of(folder: Path, remedy: str) -> Any:
    """What record.json in a run's folder holds, as today's version would have written it; it may be no record.

    Format 1 has changed in the names that configs say alone. What changes a record's shape raises `FORMAT`, and makes
    here the new shape of the old one.

    Raises:
        UserError: if it can't be read, or is no JSON: see `read_json`.
    """
    content = read_json(folder / NAME, remedy=remedy)
    if isinstance(content, dict) and "config" in content:
        content["config"] = renamed(content["config"])
    return content


def read_record(folder: Path) -> Record | None:
    """The record of a run's folder, None if there is none yet.

    It has what others read of it: always run_id, study, method, status and config; of a run that finished or diverged
    also metric, count(), seconds and epochs(), and of one that finished its score on test data.

    Raises:
        UserError: if it is not a record, or of another format.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    content = content_of(folder, AGAIN)
    if not isinstance(content, dict) or "format" not in content:
        raise UserError(f"{path} is not a record: {AGAIN}")
    record = Record.of(content)
    if record.format != FORMAT:
        raise UserError(f"{path} has format {record.format!r:.50}, need {FORMAT}: {AGAIN}")
    for name, (found, kinds) in _needs(record).items():
        if isinstance(found, bool) or not isinstance(found, kinds):
            raise UserError(f"{path} is not a record ({name!r} is {found!r:.50}): {AGAIN}")
    return record


def _needs(record: Record) -> dict[str, tuple[Any, type | tuple[type, ...]]]:
    """What a record must have, by the place where it stands: what it has, and of which types that is to be."""
    needs: dict[str, tuple[Any, type | tuple[type, ...]]] = {
        name: (getattr(record, name), str) for name in ("status", "run_id", "method")
    }
    needs |= {"study": (record.study, (str, int)), "config": (record.config, dict)}
    needs |= {"files": (record.files, (dict, type(None)))}
    if record.status in ANSWERS:
        needs |= {"metric": (record.metric, str), TRAINED: (record.count(), int)}
        needs |= {"seconds": (record.seconds, (int, float)), "last.epoch": (record.epochs(), int)}
    if record.status == "finished" and isinstance(record.metric, str):
        needs[score_path("test", record.metric)] = (record.score("test"), (int, float))
    return needs
