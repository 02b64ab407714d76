"""Texts as a model's tokenizer cuts them: once, then kept on disk."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.files.data_folder import write_data
from intrinsic.files.expand_path import expand_path
from intrinsic.tasks.task import Split, Task

Texts = Sequence[tuple[str, ...]]
NAMES = ("ids", "kinds", "lengths")
FORMAT = "1"  # of the files: another one is another file


class Tokenizer(Protocol):
    """What cuts texts: the same fingerprint means the same tokens."""

    fingerprint: str

    def __call__(self, texts: Texts) -> dict[str, Tensor]:
        """`ids`, `kinds` (tokens of all texts,) int32, one text after another, and their `lengths` (texts,) int64."""


def tokenize(task: Task, tokenizer: Tokenizer, data_dir: str | Path | None) -> Task:
    """The task with inputs (n, 2, longest) int32: token ids, and which of two texts each is from; -1 beyond the end.

    Tokens are kept in the folder `tokens` of `data_dir`, of ~/.cache/intrinsic if None, under a hash of texts and
    tokenizer; a file that is damaged is made again, and where none can be written a note on stderr says so.

    Raises:
        UserError: if the task has no texts.
    """
    if task.texts is None:
        raise UserError(f"a tokenizer needs texts, got inputs {task.input_shape}: use dataset=sst2")
    tokens = _kept("~/.cache/intrinsic" if data_dir is None else data_dir, task.texts, tokenizer)
    train, validation, test = (_padded(tokens, split) for split in (task.train, task.validation, task.test))
    return replace(task, train=train, validation=validation, test=test, texts=None)


def _kept(data_dir: str | Path, texts: Texts, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """The tokens from their file, which is made if need be, and if it can be."""
    digest = hashlib.sha256(json.dumps([FORMAT, tokenizer.fingerprint, list(texts)]).encode())
    try:
        path = expand_path(data_dir) / "tokens" / f"{digest.hexdigest()[:24]}.safetensors"
        tokens = _read(path, len(texts))
    except UserError as error:
        path, tokens = None, None
        _note(error)
    if tokens is None:
        tokens = tokenizer(texts)
        if path is not None:
            try:
                write_data(path, save(tokens, {"sha256": _checksum(tokens)}))
            except (UserError, OSError) as error:
                _note(error)
    return tokens


def _read(path: Path, count: int) -> dict[str, Tensor] | None:
    """The tokens of `count` texts, or None where they are absent or not what was written."""
    try:
        with safe_open(path, "pt") as file:
            tokens = {name: file.get_tensor(name) for name in NAMES}
            checksum = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError):
        return None
    whole = len(tokens["lengths"]) == count and checksum == _checksum(tokens)
    return tokens if whole else None


def _checksum(tokens: dict[str, Tensor]) -> str:
    whole = hashlib.sha256()
    for name in NAMES:
        whole.update(f"{tokens[name].dtype} {tuple(tokens[name].shape)}".encode() + tokens[name].numpy().tobytes())
    return whole.hexdigest()


def _note(error: Exception) -> None:
    print(f"tokens are not kept: {str(error).split(';')[0]}", file=sys.stderr, flush=True)


def _padded(tokens: dict[str, Tensor], split: Split) -> Split:
    """The rows of a split as one tensor, padded with -1 to its longest."""
    lengths, starts = tokens["lengths"], tokens["lengths"].cumsum(0) - tokens["lengths"]
    lengths, starts = lengths[split.inputs], starts[split.inputs]
    within = torch.arange(int(lengths.max())).expand(len(lengths), -1)  # (n, longest)
    used = within < lengths[:, None]
    inputs = torch.full((len(lengths), 2, within.shape[1]), -1, dtype=torch.int32)
    places = (starts[:, None] + within)[used]
    for row, name in enumerate(("ids", "kinds")):
        inputs[:, row][used] = tokens[name][places]
    return Split(inputs, split.targets, lengths)
