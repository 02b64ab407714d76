"""Tiny language models of transformers as folders, and a text for them."""

import pytest
import torch

from tests.support.tiny import ARCHITECTURES, SMALL, WORDS, make_tokenizer

LANGUAGE = {"bert": "ForMaskedLM", "gpt2": "LMHeadModel", "llama": "ForCausalLM"}
OBJECTIVES = {"bert": "masked", "gpt2": "causal", "llama": "causal"}
MODEL = {"source": "hub", "objective": None, "classifier": "folder", "precision": "float32"}


def make_language_folder(folder, kind, *, mask=True, **changes):
    """A folder of a language model as save_pretrained writes it, its tokenizer with a mask token if asked for."""
    transformers = pytest.importorskip("transformers")
    name, options = ARCHITECTURES[kind]
    config = getattr(transformers, name)(**{**SMALL, "vocab_size": len(WORDS) + 1, **options, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, name.replace("Config", LANGUAGE[kind]))(config)
    model.save_pretrained(folder)
    tokenizer = make_tokenizer()
    if mask:
        tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    tokenizer.save_pretrained(folder)
    return folder


def write_text(path, count=60):
    """Sentences of a small grammar: who is good is no film."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for number in range(count):
        length = int(torch.randint(0, 8, (), generator=generator))
        rows.append(" ".join(["the film is", *["very"] * length, ("bad", "good")[number % 2], f"w{number}"]))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
