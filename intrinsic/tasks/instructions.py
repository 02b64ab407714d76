"""Prompts and completions as a language model learns them: tokens of completions from those before them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from intrinsic.errors import UserError
from intrinsic.tasks.generation import Generation, Writer
from intrinsic.tasks.language import ABSENT, token_counts, token_hits, token_loss
from intrinsic.tasks.task import Split, Task
from intrinsic.tasks.tokens import tokenize

PROMPT, COMPLETION = 0, 1  # kinds of tokens


def prompts(splits: Sequence[Split], texts: Sequence[tuple[str, str]], generation: Generation, metric: str) -> Task:
    """A task of prompts and completions, of which `instruct` makes what a language model learns."""
    train, validation, test = splits
    return Task(
        train,
        validation,
        test,
        num_outputs=0,
        loss=token_loss,
        score=token_hits,
        tokens=token_counts,
        metric=metric,
        texts=texts,
        generation=generation,
    )


def instruct(task: Task, tokenizer: Writer, data_dir: str | None) -> Task:
    """The task of predicting completions, and of answering prompts.

    Prompt and completion are cut by themselves, so that what a completion is learned after is what an answer is
    generated after; the end token follows a completion. Inputs (n, 2, length) int32: ids, and kinds, 0 of the prompt
    and 1 of the completion; negative beyond the end. Targets (n, length) int32: the next token at each place, ABSENT
    where nothing is predicted.

    Raises:
        UserError: for examples longer than the tokenizer's max_length, and an answer that the verifier would call
            wrong although it is the completion, token by token.
    """
    generation = task.generation
    assert generation is not None
    rows = [split.inputs for split in (task.train, task.validation, task.test)]
    tokens = tokenize(task, PairTokenizer(tokenizer, generation.chat), data_dir)
    splits = [
        replace(split, rows=own)
        for split, own in zip((tokens.train, tokens.validation, tokens.test), rows, strict=True)
    ]
    lengths = [_lengths(split) for split in splits]  # of prompts, and of completions
    longest = max(int(completions.max()) for _, completions in lengths)
    most = longest if generation.max_new_tokens is None else generation.max_new_tokens
    prompt = max(int(own.max()) for own, _ in lengths)
    generation = replace(generation, tokenizer=tokenizer, max_new_tokens=most)
    if generation.verifier is not None:
        if prompt + most > tokenizer.max_length:
            raise UserError(
                f"a prompt of {prompt} tokens and an answer of up to {most} are more than tokenizer.max_length="
                f"{tokenizer.max_length}: raise it, or lower dataset.max_new_tokens"
            )
        for split in splits:
            _check_references(split, generation)
    width = max(*(split.inputs.shape[-1] for split in splits), prompt + most)  # a model says whether it reads as much
    train, validation, test = (_learned(split, generation.loss_on, width) for split in splits)
    size = tokenizer.size
    return replace(tokens, train=train, validation=validation, test=test, num_outputs=size, generation=generation)


def _lengths(split: Split) -> tuple[Tensor, Tensor]:
    kinds = split.inputs[:, 1]
    return (kinds == PROMPT).sum(1), (kinds == COMPLETION).sum(1)


def _learned(split: Split, loss_on: str, width: int) -> Split:
    inputs = functional.pad(split.inputs, (0, width - split.inputs.shape[-1]), value=ABSENT)
    ids, kinds = functional.pad(inputs[..., 1:], (0, 1), value=ABSENT).unbind(1)
    return replace(
        split, inputs=inputs, targets=ids if loss_on == "all" else ids.masked_fill(kinds != COMPLETION, ABSENT)
    )


def _check_references(split: Split, generation: Generation) -> None:
    """Check that each completion's own tokens are a right answer."""
    ids, kinds = split.inputs.unbind(1)
    assert split.rows is not None
    answers = ids.masked_fill(kinds != COMPLETION, ABSENT)
    right = generation.judge(answers, split.rows)
    if not right.all():
        row = int(right.argmin())
        read, given = generation.texts(answers[row : row + 1])[0], generation.answers[int(split.rows[row])]
        raise UserError(
            f"the tokenizer reads the completion {given[:60]!r} back as {read[:60]!r}, which the verifier calls wrong: "
            "need another tokenizer, dataset.verifier or dataset.form"
        )


@dataclass
class PairTokenizer:
    """Cuts (prompt, completion) into tokens of kinds 0 and 1, as `intrinsic.tasks.tokens` takes them.

    Args:
        tokenizer: of the model.
        chat: prompts are conversations as JSON.
    """

    tokenizer: Writer
    chat: bool

    def __post_init__(self) -> None:
        of = self.tokenizer
        marks = of.encode([""], opens=True), of.end  # which a tokenizer has beside the rules by which it cuts
        how = [of.fingerprint, "pairs", self.chat and _template(of), marks]
        self.fingerprint = hashlib.sha256(json.dumps(how).encode()).hexdigest()

    def __call__(self, texts: Sequence[tuple[str, ...]]) -> dict[str, Tensor]:
        """`ids`, `kinds` (tokens of all pairs,) int32, and their `lengths` (pairs,) int64."""
        pairs = [_rendered(self.tokenizer, *pair) for pair in texts] if self.chat else texts
        opened = self.tokenizer.encode([prompt for prompt, _ in pairs], opens=not self.chat)
        closed = [self._closed(row) for row in self.tokenizer.encode([text for _, text in pairs], opens=False)]
        for (prompt, _), first, second in zip(pairs, opened, closed, strict=True):
            if not first or len(first) + len(second) > self.tokenizer.max_length:
                raise UserError(
                    f"the prompt {prompt[:60]!r} is cut into {len(first)} tokens, with its completion "
                    f"{len(first) + len(second)}: need 1 at least, {self.tokenizer.max_length} in all at most, "
                    "tokenizer.max_length"
                )
        rows = [first + second for first, second in zip(opened, closed, strict=True)]
        kinds = [
            [PROMPT] * len(first) + [COMPLETION] * len(second) for first, second in zip(opened, closed, strict=True)
        ]
        return {
            "ids": torch.tensor([token for row in rows for token in row], dtype=torch.int32),
            "kinds": torch.tensor([kind for row in kinds for kind in row], dtype=torch.int32),
            "lengths": torch.tensor([len(row) for row in rows]),
        }

    def _closed(self, row: list[int]) -> list[int]:
        """A completion with its end: what a chat template writes after it is not learned."""
        end = self.tokenizer.end
        if end is None:
            return row
        return row[: row.index(end) + 1] if end in row else [*row, end]


def _template(tokenizer: Writer) -> str:
    """What tells one chat template from another: a conversation in it."""
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    return tokenizer.render(said[:1], answered=False) + tokenizer.render(said, answered=True)


def _rendered(tokenizer: Writer, prompt: str, completion: str) -> tuple[str, str]:
    messages = json.loads(prompt)
    opened = tokenizer.render(messages, answered=False)
    whole = tokenizer.render([*messages, {"role": "assistant", "content": completion}], answered=True)
    if not whole.startswith(opened) or whole == opened:
        raise UserError(
            "the chat template writes another prompt where an answer follows it, such as "
            f"{opened[:60]!r}: need a template that goes on, or prompt and completion as texts"
        )
    return opened, whole.removeprefix(opened)
