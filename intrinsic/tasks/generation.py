"""Generation: how a language model answers prompts, and how its answers are judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from intrinsic.errors import UserError
from intrinsic.tasks.verifiers import Verifier


class Writer(Protocol):
    """What a tokenizer must be able to do for prompts and answers, beside what `Tokenizer` and `Vocabulary` say.

    `end`: the id of the token that ends an answer; None: there is none, and answers are as long as they may be.
    `max_length`: tokens of a prompt and its answer together, at most.
    """

    fingerprint: str
    max_length: int
    size: int
    end: int | None

    def encode(self, texts: Sequence[str], *, opens: bool) -> list[list[int]]:
        """The tokens of each text, without special ones, but for those that `opens` a text (such as BOS)."""

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of tokens."""

    def render(self, messages: Sequence[dict[str, str]], *, answered: bool) -> str:
        """A conversation by the chat template; not `answered`: with what opens the next answer."""


@dataclass(frozen=True)
class Generation:
    """How prompts are answered.

    Args:
        answers: the reference of each text of the dataset, in its order; `Split.rows` says which are a split's.
        verifier: whether an answer is right; None: answers are not judged, nor made.
        chat: whether prompts are conversations, as JSON, for the tokenizer's chat template.
        loss_on: "completion": of the tokens of the answer alone; "all": of those of the prompt, too.
        max_new_tokens: of an answer, its end included; None: as many as the longest reference has.
        tokenizer: None until the task is cut into tokens, see `intrinsic.tasks.instructions`.
    """

    answers: Sequence[str]
    verifier: Verifier | None
    chat: bool
    loss_on: str
    max_new_tokens: int | None
    tokenizer: Writer | None = None

    @property
    def length(self) -> int:
        """`max_new_tokens`, which are known when there are tokens."""
        assert self.max_new_tokens is not None
        return self.max_new_tokens

    @property
    def end(self) -> int | None:
        """The token that ends an answer."""
        assert self.tokenizer is not None
        return self.tokenizer.end

    def texts(self, tokens: Tensor) -> list[str]:
        """What was answered: (n, length) token ids, negative beyond the end, which itself is no part of the text."""
        assert self.tokenizer is not None
        end = self.end
        rows = [[token for token in row if token >= 0 and token != end] for row in tokens.tolist()]
        return self.tokenizer.decode(rows)

    def judge(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """1 for each answer, (n, length) tokens, that is right by the reference of its row (n,), else 0: (n,).

        Raises:
            UserError: without a verifier.
        """
        if self.verifier is None:
            raise UserError("nothing says which answers are right: need dataset.verifier=exact or number")
        pairs = zip(self.texts(tokens), rows.tolist(), strict=True)
        return torch.tensor([float(self.verifier(text, self.answers[row])) for text, row in pairs])
