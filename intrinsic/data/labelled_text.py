"""Texts with labels, from files of one's own: a label and a text on each line."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from intrinsic.data.read_lines import read_lines
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.task import Split, Task, classification

HELD = 10  # one of so many texts of a class is held out for validation, and one for test
NEED = "need dataset.file=<a file of lines label<TAB>text>"


def labelled_text(
    *, file: str | Path | Sequence[str | Path] | None, shuffle_labels: bool, fraction: float, seed: int
) -> Task:
    """Load lines `label<TAB>text` of UTF-8 files as texts, which a model's tokenizer cuts; nothing is downloaded.

    Classes are numbered as their labels are sorted. LF or CRLF ends a line; lines of white space are skipped, and a
    line that comes again is left out. A tenth of each class, one text at least, drawn by `seed`, is validation, another
    tenth test. `shuffle_labels`, `fraction`: as `Transforms`.

    Raises:
        UserError: as `Transforms`, without files, for one that cannot be read or is not UTF-8, for a line without a
            label or a text, a text with two labels, fewer than two labels, and one with fewer than three texts.
    """
    transforms = Transforms(rotate=0, shuffle_pixels=False, shuffle_labels=shuffle_labels, fraction=fraction, seed=seed)
    files = [file] if isinstance(file, str | Path) else file
    if not isinstance(files, Sequence) or not files or not all(isinstance(f, str | Path) and str(f) for f in files):
        raise UserError(f"{NEED} or a list of them, got file={file!r}")
    label_of: dict[str, str] = {}
    for place, label, text in (line for path in files for line in _lines(expand_path(path))):
        if label_of.setdefault(text, label) != label:
            raise UserError(
                f"{place}: its text has the label {label!r:.60}, and {label_of[text]!r:.60} before: need one"
            )
    classes = sorted(set(label_of.values()))
    if len(classes) < 2:
        raise UserError(f"need texts of two labels or more, got {len(classes)} in file={file}: add some")
    numbers = {label: number for number, label in enumerate(classes)}
    targets = torch.tensor([numbers[label] for label in label_of.values()])
    splits = transforms(*_split(targets, classes, seed))
    task = classification(*splits, num_outputs=len(classes))
    return replace(task, texts=[(text,) for text in label_of], files=list(map(str, files)))


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Where each line stands, its label, and its text."""
    for row, line in enumerate(read_lines(path, remedy=NEED), start=1):
        label, _, text = (part.strip() for part in line.partition("\t"))
        if line.strip() and not (label and text):
            raise UserError(f"{path}, line {row}: need label<TAB>text, got {line[:60]!r}")
        if line.strip():
            yield f"{path}, line {row}", label, text


def _split(targets: Tensor, classes: Sequence[str], seed: int) -> Iterator[Split]:
    """Train, validation and test: positions in the texts, with about as many of each class."""
    parts: list[list[Tensor]] = [[], [], []]
    for number, label in enumerate(classes):
        own = (targets == number).nonzero().flatten()
        if len(own) < len(parts):
            raise UserError(f"need {len(parts)} texts or more of each label, got {len(own)} of {label!r:.60}: add some")
        held = max(1, len(own) // HELD)
        own = own[torch.from_numpy(permutation(fan_out(seed, "split", label), len(own)))]
        for part, some in zip(parts, (own[2 * held :], own[:held], own[held : 2 * held]), strict=True):
            part.append(some)
    for part in parts:
        places = torch.cat(part).sort().values
        yield Split(places, targets[places])
