"""The files of GLUE, as they come."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intrinsic.data.read_lines import read_lines
from intrinsic.errors import UserError
from intrinsic.missing_package import missing_package

DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?", re.ASCII)
HUB = "nyu-mll/glue"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}  # GLUE's names and the hub's


@dataclass(frozen=True)
class Form:
    """How the files of one task look: rows of tab-separated columns without quotes, names of columns above.

    Args:
        folder: inside the folder `glue`.
        texts: the columns of what is read.
        label: the column of what is to be said.
        classes: labels in the order of their numbers; none: labels are scores, real numbers.
        scores: the least and the largest score.
        files: by split.
        sources: by split, files that are read where there is no train.tsv.
        columns: of files that do not name them, but for test files, which have no labels then.
        torn_rows: whether some rows of GLUE's own file lack columns; they are left out, as the hub does.
        hub: the columns of what is read on the hub; none: as in the files.
    """

    folder: str
    texts: tuple[str, ...]
    label: str
    classes: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=lambda: {name: f"{name}.tsv" for name in SPLITS})
    sources: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    torn_rows: bool = False
    hub: tuple[str, ...] = ()
    scores: tuple[float, float] = (0, 5)


@dataclass(frozen=True)
class Examples:
    """Labelled examples."""

    texts: list[tuple[str, ...]]
    labels: list[float]


def read(form: Form, name: str, folder: Path) -> dict[str, Examples]:
    """What is labelled of "train", "dev" and "test": train, and at least one of the others.

    Raises:
        UserError: for files that can neither be found nor downloaded, or are damaged.
    """
    home = folder / form.folder
    for files in (form.files, form.sources):
        if files and (home / files["train"]).exists():
            found = {split: _read_file(home / file, form, split) for split, file in files.items()}
            labelled = {split: rows for split, rows in found.items() if rows is not None}
            break
    else:
        labelled = _read_hub(form, name, home)
    if "train" not in labelled or len(labelled) < 2:
        raise UserError(f"{home}: need labels in train and in dev or test, got them in {', '.join(labelled) or 'none'}")
    return labelled


def _read_file(path: Path, form: Form, split: str) -> Examples | None:
    """The examples of a file; None if it is absent or has no labels."""
    if not path.exists() or (form.columns and split == "test"):
        return None
    numbered = [
        (number, line.split("\t"))
        for number, line in enumerate(read_lines(path, remedy="fetch it again"), start=1)
        if line.strip()
    ]
    columns, body = (form.columns, numbered) if form.columns else (_heading(numbered), numbered[1:])
    missing = [column for column in form.texts if columns.count(column) != 1]
    if missing:
        found = ", ".join(columns)[:200]
        raise UserError(f"{path}: need the column {missing[0]!r} once in its first line, got {found!r}: fetch it again")
    if form.label not in columns:
        return None
    examples = [(number, row) for number, row in body if not form.torn_rows or len(row) == len(columns)]
    if not examples:
        raise UserError(f"{path}: need at least one example, got none: fetch it again")
    rows = Examples([], [])
    for number, row in examples:
        if len(row) != len(columns):
            raise UserError(f"{path}, line {number}: need {len(columns)} columns, got {len(row)}: fetch it again")
        named = dict(zip(columns, row, strict=True))
        rows.texts.append(tuple(named[column] for column in form.texts))
        rows.labels.append(_number(named[form.label], form, f"{path}, line {number}"))
    return rows


def _heading(numbered: list[tuple[int, list[str]]]) -> tuple[str, ...]:
    return tuple(numbered[0][1]) if numbered else ()


def _number(label: str, form: Form, place: str) -> float:
    if form.classes:
        if label not in form.classes:
            raise UserError(f"{place}: need the label {' or '.join(form.classes)}, got {label[:200]!r}: fetch it again")
        return form.classes.index(label)
    if not DECIMAL.fullmatch(label):  # float() would also take nan, inf, 1_0 and the digits of other scripts
        raise UserError(f"{place}: need a number as {form.label}, got {label[:200]!r}: fetch it again")
    return _score(float(label), form, place)


def _score(value: float, form: Form, place: str) -> float:
    low, high = form.scores
    if not low <= value <= high:  # NaN neither
        raise UserError(f"{place}: need a {form.label} from {low} to {high}, got {value!r}: fetch it again")
    return value


def _read_hub(form: Form, name: str, home: Path) -> dict[str, Examples]:
    try:
        tables = _tables(name)
    except _AbsentError as error:
        files = " or ".join(", ".join(some.values()) for some in (form.files, form.sources) if some)
        raise UserError(
            f"cannot download {HUB} {name} ({error}): put {files} into {home} yourself (data_dir=... or the "
            "environment variable INTRINSIC_DATA sets the folder)"
        ) from None
    matched = "_matched" if "validation_matched" in tables else ""
    found = {split: _rows(tables[hub + matched * (hub != "train")], form, hub) for split, hub in SPLITS.items()}
    return {split: rows for split, rows in found.items() if rows is not None}


class _AbsentError(Exception):
    """The hub gave nothing, and why."""


def _tables(name: str) -> Mapping[str, Any]:
    try:
        import datasets
    except ImportError:
        raise _AbsentError(str(missing_package("datasets", "text"))) from None
    try:
        tables: Mapping[str, Any] = datasets.load_dataset(HUB, name)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:  # offline: an OSError
        raise _AbsentError(" ".join(f"{type(error).__name__} {error}".split())[:200]) from None
    return tables


def _rows(table: Any, form: Form, split: str) -> Examples | None:
    """The examples of one of the hub's tables; None if its labels are hidden, which are -1 then."""
    labels: Sequence[float] = table["label"][:]
    if all(label == -1 for label in labels):
        return None
    for number, label in enumerate(labels):
        place = f"{HUB}, row {number} of {split}"
        if form.classes and label not in range(len(form.classes)):
            raise UserError(f"{place}: need a label below {len(form.classes)}, got {label!r}: fetch it again")
        if not form.classes:
            _score(label, form, place)
    columns = [table[column][:] for column in form.hub or form.texts]
    return Examples(list(zip(*columns, strict=True)), list(labels))
