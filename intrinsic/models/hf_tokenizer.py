"""The tokenizer of a pretrained model."""

import hashlib
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intrinsic.checks import integer
from intrinsic.errors import UserError
from intrinsic.models.hugging_face.folder import hf_folder
from intrinsic.models.hugging_face.loading import loading
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.models.hugging_face.view import hf_view

FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)


class HFTokenizer:
    """Cuts texts, one or two of each, into token ids with the special tokens of the model.

    Args:
        name: as of the model: a folder, package:<package>/<folder>, or a hub id.
        max_length: tokens of an input; of longer ones the end is left out, or the beginning where its files say
            truncation_side=left; of pairs that of the longer text first.

    Raises:
        UserError: if there is no such tokenizer, or the model cannot read inputs of that length; and, in every use,
            for whatever the packages transformers and tokenizers find wrong in its files.
    """

    def __init__(self, *, name: str | None, max_length: int) -> None:
        integer("max_length", max_length, 4, of="tokenizer")
        self.name, self.max_length = name, max_length
        self._folder = hf_folder(name, weights=False)
        if not any((Path(self._folder) / file).is_file() for file in FILES):
            # transformers would make an empty one
            raise UserError(f"{self._folder} has no tokenizer: add the model's tokenizer.json to it")
        opened = ExitStack()
        self._view = opened.enter_context(hf_view(self._folder, weights=False))
        weakref.finalize(self, opened.close)  # some tokenizers copy files from it when they are saved
        with self._reading():
            transformers, closed = hf_import(), {"trust_remote_code": False, "local_files_only": True}
            self._cut: Any = transformers.AutoTokenizer.from_pretrained(self._view, **closed)
            self._cut.name_or_path = self._folder
            config = transformers.AutoConfig.from_pretrained(self._view, **closed)
            self._known = int(config.get_text_config().vocab_size)
            if max_length > self._cut.model_max_length:
                raise UserError(
                    f"need tokenizer.max_length <= {self._cut.model_max_length} of {name}, got max_length={max_length}"
                )

    def _reading(self) -> AbstractContextManager[None]:
        return loading(self._folder, "a tokenizer beside config.json, as tokenizer.json", view=self._view)

    @cached_property
    def size(self) -> int:
        """One more than the largest token id."""
        with self._reading():
            return 1 + max(self._cut.get_vocab().values())

    @property
    def mask(self) -> int | None:
        """The id of the token that stands for a hidden one; None if there is none."""
        mask: int | None = self._cut.mask_token_id
        return mask

    @property
    def special(self) -> list[int]:
        """The ids of tokens that are no part of a text: those that an empty one has, and what the tokenizer names."""
        with self._reading():
            return sorted({*self._cut.all_special_ids, *self._cut("", "")["input_ids"]})

    @property
    def end(self) -> int | None:
        """The id of the token that ends a text; None if there is none."""
        end: int | None = self._cut.eos_token_id
        return end

    def encode(self, texts: Sequence[str], *, opens: bool) -> list[list[int]]:
        """The tokens of each text, none cut off, without special ones; where it `opens`, with those before a text."""
        with self._reading():
            rows: list[list[int]] = self._cut(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
            first = self._opening() if opens else []
        if any(max(row, default=0) >= self._known for row in rows):
            raise UserError(
                f"{self._folder} cuts a text into tokens beyond the vocab_size={self._known} of config.json"
            )
        return [[*first, *row] for row in rows]

    def _opening(self) -> list[int]:
        """The special tokens that stand before a text, such as BOS."""
        plain, whole = (self._cut("a", add_special_tokens=each)["input_ids"] for each in (False, True))
        size = len(plain)
        return next((whole[:i] for i in range(len(whole) - size + 1) if whole[i : i + size] == plain), [])

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of tokens, special ones as they are written."""
        with self._reading():
            return [self._cut.decode(list(row), clean_up_tokenization_spaces=False) for row in rows]

    def render(self, messages: Sequence[dict[str, str]], *, answered: bool) -> str:
        """A conversation by the chat template; not `answered`: with what opens the next answer.

        Raises:
            UserError: without a template, and for one that cannot write this.
        """
        if not getattr(self._cut, "chat_template", None):
            raise UserError(
                f"the tokenizer of {self.name} has no chat template: need chat_template.jinja beside it, or prompt and "
                "completion as texts"
            )
        with self._reading():
            text: str = self._cut.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=not answered
            )
        return text

    def save(self, folder: str | Path) -> None:
        """Write its files into a folder, as transformers reads them."""
        self._cut.save_pretrained(folder)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides how texts are cut."""
        cut = self._cut
        with self._reading():
            rules = cut.backend_tokenizer.to_str() if cut.is_fast else f"{cut!r} {sorted(cut.get_vocab().items())}"
        beside = cut.truncation_side, getattr(cut, "split_special_tokens", False)  # which the rules do not say
        return hashlib.sha256(f"{type(cut).__name__} {self.max_length} {beside} {rules}".encode()).hexdigest()

    def __call__(self, texts: Sequence[tuple[str, ...]]) -> dict[str, Tensor]:
        """`ids`, `kinds` (tokens of all texts,) int32, one text after another, and their `lengths` (texts,) int64."""
        columns = [list(column) for column in zip(*texts, strict=True)]
        with self._reading():
            cut = self._cut(
                *columns,
                truncation=True,
                max_length=self.max_length,
                return_attention_mask=False,
                return_token_type_ids=True,
                verbose=False,
            )
        ids, kinds = cut["input_ids"], cut["token_type_ids"]
        for text, row in zip(texts, ids, strict=True):
            if not row:
                raise UserError(f"{self.name} cuts the text {_shown(text)} into no token: leave it out of the data")
            if max(row) >= self._known or len(row) > self.max_length:
                raise UserError(
                    f"{self._folder} cuts the text {_shown(text)} into {len(row)} tokens, one of number {max(row)}: "
                    f"need {self.max_length} at most, below the vocab_size={self._known} of config.json"
                )
        return {
            "ids": torch.tensor([token for row in ids for token in row], dtype=torch.int32),
            "kinds": torch.tensor([kind for row in kinds for kind in row], dtype=torch.int32),
            "lengths": torch.tensor([len(row) for row in ids]),
        }


def _shown(text: tuple[str, ...]) -> str:
    return repr(tuple(part[:100] for part in text))
