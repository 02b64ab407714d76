"""Sums as prompts and completions, and tiny causal language models of their characters, as folders."""

import json
from pathlib import Path

import pytest
import torch

from tests.support.tiny import ARCHITECTURES

LETTERS = ["<pad>", "<unk>", "<bos>", "<eos>", *"0123456789+-=. ", "u", "a", ":"]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'][0] }}:{{ m['content'] }}{% if m['role'] == 'assistant' %}<eos> {% endif %}"
    "{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
)
SIZES = {"vocab_size": len(LETTERS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def make_letters(*, template=None, bos=True):
    """A tokenizer of characters, which reads back what it has cut."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    cut = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(LETTERS)}, unk_token="<unk>"))  # noqa: S106
    cut.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    cut.decoder = decoders.Fuse()
    if bos:
        cut.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=cut, model_max_length=64, **special)
    made.chat_template = template
    return made


def make_pairs_folder(folder, kind="llama", *, template=None, seed=0, bos=True, **changes):
    """A folder of a causal language model of characters."""
    transformers = pytest.importorskip("transformers")
    name, options = ARCHITECTURES[kind]
    own = {"num_hidden_layers": 1} if kind == "llama" else {"n_layer": 1}
    config = getattr(transformers, name)(**{**options, **SIZES, **own, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    make_letters(template=template, bos=bos).save_pretrained(folder)
    return folder


def write_rows(path, rows):
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_sums(path, most=6, *, chat=False):
    """a+b= and its sum, for a, b below `most`."""
    sums = [(f"{a}+{b}=", str(a + b)) for a in range(most) for b in range(most)]
    if chat:
        said = [[{"role": "user", "content": p}, {"role": "assistant", "content": c}] for p, c in sums]
        return write_rows(path, [{"messages": messages} for messages in said])
    return write_rows(path, [{"prompt": p, "completion": c} for p, c in sums])
