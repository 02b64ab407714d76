"""Tasks of a few texts for tiny language models."""

import pytest
import torch

from intrinsic.models.hf_lm import hf_lm
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.tasks.language import language, plain_text
from intrinsic.tasks.task import Split
from intrinsic.tasks.tokens import tokenize
from tests.support.tiny_language import LANGUAGE, MODEL

pytest.importorskip("transformers")

every_kind = pytest.mark.parametrize("kind", LANGUAGE)


TEXTS = [("a good film",), ("bad",), ("not a very good story",), ("the film was very very very dull",)]


def task_of(folder, tmp_path, objective, texts=TEXTS, seed=0):
    """A task of plain texts, all of them in each split."""
    split = Split(torch.arange(len(texts)), torch.zeros(len(texts), dtype=torch.int64))
    tokenizer = HFTokenizer(name=str(folder), max_length=16)
    tokens = tokenize(plain_text(split, split, split, texts), tokenizer, tmp_path)
    return language(tokens, tokenizer, objective=objective, seed=seed)


def build(folder, **changes):
    torch.manual_seed(0)
    return hf_lm((2, 8), 18, name=str(folder), **{**MODEL, **changes})
