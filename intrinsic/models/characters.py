"""A tokenizer whose tokens are characters."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from intrinsic.checks import integer
from intrinsic.errors import UserError


class Characters:
    """Cuts texts into characters: token 0 ends a text, token k is the k-th of `characters`.

    Args:
        characters: all that a text may hold, each once.
        max_length: tokens of an input; of longer plain texts the end is left out.

    Raises:
        UserError: for characters that are none or come twice, and a length below 2; and, when a text is cut, for a
            character that is not among them.
    """

    end = 0
    mask = None
    special = (0,)

    def __init__(self, *, characters: str, max_length: int) -> None:
        if not isinstance(characters, str) or not characters or len(set(characters)) < len(characters):
            raise UserError(f"need tokenizer.characters as a text, each character once, got {characters!r:.100}")
        self.max_length = integer("max_length", max_length, 2, of="tokenizer")
        self.size = 1 + len(characters)
        self.fingerprint = hashlib.sha256(f"Characters {max_length} {characters}".encode()).hexdigest()
        self._characters = characters
        self._ids = {character: 1 + place for place, character in enumerate(characters)}

    def encode(self, texts: Sequence[str], *, opens: bool) -> list[list[int]]:
        """The tokens of each text, without the one that ends it; none `opens` a text."""
        try:
            return [[self._ids[character] for character in text] for text in texts]
        except KeyError as error:
            raise UserError(
                f"the tokenizer knows no character {error.args[0]!r}, only {self._characters!r:.60}: add it to "
                "tokenizer.characters"
            ) from None

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of tokens; what ends a text is an empty one."""
        return ["".join(self._characters[token - 1] if token else "" for token in row) for row in rows]

    def save(self, folder: str | Path) -> None:
        """Refuse: transformers reads no such tokenizer.

        Raises:
            UserError: always.
        """
        raise UserError(
            "a tokenizer of characters has no form that transformers reads: merge the run in Python instead"
        )

    def render(self, messages: Sequence[dict[str, str]], *, answered: bool) -> str:
        """Refuse: characters have no chat template.

        Raises:
            UserError: always.
        """
        raise UserError("a tokenizer of characters has no chat template: need prompt and completion as texts")

    def __call__(self, texts: Sequence[tuple[str, ...]]) -> dict[str, Tensor]:
        """`ids`, `kinds` (tokens of all texts,) int32, one text after another, and their `lengths` (texts,) int64.

        One text, or two of each, and what ends a text.
        """
        cut = [self.encode(text, opens=False) for text in texts]
        ids = [[*(token for row in rows for token in row), self.end][: self.max_length] for rows in cut]
        kinds = [[*(k for k, row in enumerate(rows) for _ in row), len(rows) - 1][: self.max_length] for rows in cut]
        return {
            "ids": torch.tensor([token for row in ids for token in row], dtype=torch.int32),
            "kinds": torch.tensor([kind for row in kinds for kind in row], dtype=torch.int32),
            "lengths": torch.tensor([len(row) for row in ids]),
        }
