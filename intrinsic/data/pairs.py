"""Prompts and completions from files of one's own: instruction data."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intrinsic.checks import integer
from intrinsic.data.read_json_lines import read_json_lines
from intrinsic.data.transforms import Transforms
from intrinsic.errors import UserError
from intrinsic.files.expand_path import expand_path
from intrinsic.rng import fan_out, permutation
from intrinsic.tasks.generation import Generation
from intrinsic.tasks.instructions import prompts
from intrinsic.tasks.task import Split, Task
from intrinsic.tasks.verifiers import last_number
from intrinsic.tasks.verifiers import verifier as verifier_of

HELD_OUT = 0.1  # of the prompts for validation, and as many for test
NEED = 'need {"prompt": ..., "completion": ...} or {"messages": [...]} on each line'
METRICS = ("exact_match", "token_accuracy")
Pair = tuple[str, str]


def pairs(
    *,
    file: str | Path | None,
    validation_file: str | Path | None,
    test_file: str | Path | None,
    loss_on: str,
    verifier: str | None,
    form: str,
    metric: str | None,
    max_new_tokens: int | None,
    fraction: float,
    seed: int,
) -> Task:
    """Load the lines of JSONL files, which a language model's tokenizer cuts; nothing is downloaded.

    A line is {"prompt": text, "completion": text}, or {"messages": [{"role": ..., "content": ...}, ...]}, of which the
    last, by the assistant, is the completion and the others, through the tokenizer's chat template, the prompt. A line
    that comes again is left out. Of prompts, and not of lines, a tenth each, drawn by `seed`, is validation and test,
    where these have no file of their own: no prompt is in two splits.

    Args:
        file: of the training split, and of what has no file.
        validation_file: None: from `file`.
        test_file: None: from `file`.
        loss_on: "completion" or "all", see `Generation`.
        verifier: "exact", "number" or None, see `intrinsic.tasks.verifiers`.
        form: of it, "strict" or "flexible".
        metric: "exact_match": the share of prompts whose greedy answer is right by the verifier; "token_accuracy": of
            the predicted tokens; None: the first where there is a verifier, else the second.
        max_new_tokens: of an answer, see `Generation`.
        fraction: of the training examples, as `Transforms`.
        seed: of the split and the fraction.

    Raises:
        UserError: as `Transforms`, for a file that cannot be read, a line that is no example, with its number, an
            empty prompt or completion, a prompt in two files, fewer prompts than splits, and unknown choices.
    """
    transforms = Transforms(rotate=0, shuffle_pixels=False, shuffle_labels=False, fraction=fraction, seed=seed)
    if loss_on not in ("completion", "all"):
        raise UserError(f"need dataset.loss_on=completion or all, got loss_on={loss_on!r:.100}")
    judge = verifier_of(verifier, form)
    if metric not in (None, *METRICS) or (metric == "exact_match" and judge is None):
        raise UserError(
            f"need dataset.metric={' or '.join(METRICS)}, the first with dataset.verifier, got metric={metric!r:.100}, "
            f"verifier={verifier}"
        )
    if max_new_tokens is not None:
        integer("dataset.max_new_tokens", max_new_tokens, 1)
    files = {"train": file, "validation": validation_file, "test": test_file}
    if not isinstance(file, str | Path) or not str(file):
        raise UserError(f"need dataset.file as a JSONL file, got file={file!r:.100}")
    found = {name: _read(expand_path(path)) for name, path in files.items() if path is not None}
    _check_apart(found)
    if len({chat for rows in found.values() for _, chat in rows.values()}) > 1:
        raise UserError("need prompt and completion on every line, or messages on every line, got both")
    examples = [pair for rows in found.values() for pair in rows]
    if verifier == "number":
        _check_numbers(found)
    splits = _splits({name: list(rows) for name, rows in found.items()}, seed, file)
    (chat,) = {chat for rows in found.values() for _, chat in rows.values()}
    generation = Generation(
        answers=[completion for _, completion in examples],
        verifier=judge,
        chat=chat,
        loss_on=loss_on,
        max_new_tokens=max_new_tokens,
    )
    scored = metric or ("token_accuracy" if judge is None else "exact_match")
    task = prompts(transforms(*splits), examples, generation, scored)
    return replace(task, files=[str(path) for path in files.values() if path is not None])


def _read(path: Path) -> dict[Pair, tuple[str, bool]]:
    """The pairs of a file, each once, with where it stands and whether its prompt is a conversation."""
    found: dict[Pair, tuple[str, bool]] = {}
    for place, row in read_json_lines(path, remedy=NEED):
        pair = _conversation(row["messages"], place) if "messages" in row else _pair(row, place)
        for text in pair:
            if not text.strip():
                raise UserError(f"{place}: has an empty {'completion' if pair[0].strip() else 'prompt'}: leave it out")
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise UserError(f"{place}: has half of a character (a lone surrogate), which is no text: leave it out")
        found.setdefault(pair, (place, "messages" in row))
    if not found:
        raise UserError(f"{path} has no example: {NEED}")
    return found


def _pair(row: Mapping[str, Any], place: str) -> Pair:
    for key in ("prompt", "completion"):
        if not isinstance(row.get(key), str):
            has = "no" if key not in row else "no text as"
            raise UserError(f"{place}: has {has} {key!r}, keys {', '.join(map(repr, row))[:100] or 'none'}: {NEED}")
    return row["prompt"], row["completion"]


def _conversation(messages: Any, place: str) -> Pair:
    """The messages before the last, as JSON, and what the last says."""
    whole = isinstance(messages, list) and all(
        isinstance(each, dict) and isinstance(each.get("role"), str) and isinstance(each.get("content"), str)
        for each in messages
    )
    if not whole or len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise UserError(
            f"{place}: need messages as two or more of {{'role': text, 'content': text}}, the last by the assistant"
        )
    kept = [{"role": each["role"], "content": each["content"]} for each in messages]
    return json.dumps(kept[:-1], ensure_ascii=False), kept[-1]["content"]


def _check_apart(found: Mapping[str, Mapping[Pair, tuple[str, bool]]]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for name, rows in found.items():
        for (prompt, _), (place, _) in rows.items():
            split, first = seen.setdefault(prompt, (name, place))
            if split != name:
                raise UserError(
                    f"{place}: its prompt stands in {first}, too: no prompt may be in the {split} and {name} splits"
                )


def _check_numbers(found: Mapping[str, Mapping[Pair, tuple[str, bool]]]) -> None:
    for rows in found.values():
        for (_, completion), (place, _) in rows.items():
            if last_number(completion) is None:
                raise UserError(
                    f"{place}: the completion {completion[:40]!r} has no number: use dataset.verifier=exact"
                )


def _splits(found: Mapping[str, list[Pair]], seed: int, file: str | Path) -> list[Split]:
    """Train, validation and test: positions in the pairs of all files, one file after another."""
    train = found["train"]
    names = list(dict.fromkeys(prompt for prompt, _ in train))
    drawn = [name for name in ("validation", "test") if name not in found]
    if len(names) <= len(drawn):
        raise UserError(
            f"need {len(drawn) + 1} different prompts or more, for as many splits, got {len(names)} in file={file}"
        )
    held = max(1, round(HELD_OUT * len(names)))
    order = permutation(fan_out(seed, "split"), len(names))
    split_of = dict.fromkeys(names, "train")
    for turn, name in enumerate(drawn):
        split_of |= {names[i]: name for i in order[turn * held : (turn + 1) * held]}
    owners = [split_of[prompt] for prompt, _ in train]
    owners += [name for name, rows in found.items() if name != "train" for _ in rows]
    return [_split([i for i, owner in enumerate(owners) if owner == name]) for name in ("train", "validation", "test")]


def _split(places: list[int]) -> Split:
    inputs: Tensor = torch.tensor(places)
    return Split(inputs, torch.zeros(len(places), dtype=torch.int64))
