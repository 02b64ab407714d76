"""Plain text from files of one's own, a text on each line."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from intrinsic.data.read_lines import read_lines
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.language import plain_text
from intrinsic.tasks.task import Split, Task

HELD_OUT = 0.1  # of the texts for validation, and as many for test


def text(*, file: str | Path | Sequence[str | Path] | None, fraction: float, seed: int) -> Task:
    """Load the lines of UTF-8 files as texts, which a language model's tokenizer cuts; nothing is downloaded.

    LF or CRLF ends a line, nothing else does. Lines of white space are skipped, and a line that comes again is left
    out: it could be in training and in test. A tenth of the texts, drawn by `seed`, is validation, another tenth test.
    `fraction`: of the training texts, as `Transforms`.

    Raises:
        UserError: as `Transforms`, without files, for one that cannot be read, is not UTF-8 or has no text, and for
            fewer than three texts.
    """
    transforms = Transforms(rotate=0, shuffle_pixels=False, shuffle_labels=False, fraction=fraction, seed=seed)
    files = [file] if isinstance(file, str | Path) else file
    if not isinstance(files, Sequence) or not files or not all(isinstance(f, str | Path) and str(f) for f in files):
        raise UserError(f"need dataset.file as a text file or a list of them, got file={file!r}")
    lines = list(dict.fromkeys(line for path in files for line in _lines(expand_path(path))))
    held = max(1, round(HELD_OUT * len(lines)))
    if len(lines) < 3:
        raise UserError(f"need 3 different lines or more, for three splits, got {len(lines)} in file={file}: add some")
    order = torch.from_numpy(permutation(fan_out(seed, "split"), len(lines)))
    parts = (order[2 * held :], order[:held], order[held : 2 * held])
    train, validation, test = (Split(part.sort().values, torch.zeros(len(part), dtype=torch.int64)) for part in parts)
    task = plain_text(*transforms(train, validation, test), texts=[(line,) for line in lines])
    return replace(task, files=list(map(str, files)))


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in read_lines(path, remedy="need dataset.file=<a text file>")]
    found = [line for line in lines if line]
    if not found:
        raise UserError(f"{path} has no text: need one on each line")
    return found
