"""Tiny models of transformers at random weights, with a tokenizer, as folders."""

import pytest
import torch

from intrinsic.models.hf import hf
from intrinsic.models.hf_tokenizer import HFTokenizer
from intrinsic.tasks.task import Split, Task
from intrinsic.tasks.tokens import tokenize

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>"]
WORDS += ["a", "good", "bad", "dull", "fine", "film", "story", "very", "not", "is", "was", "the"]
SMALL = {"vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 4}
ARCHITECTURES = {
    "bert": (
        "BertConfig",
        {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    ),
    "roberta": (
        "RobertaConfig",
        {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    ),
    "gpt2": ("GPT2Config", {"n_embd": 16, "n_layer": 2, "n_head": 2, "pad_token_id": None}),
    "llama": (
        "LlamaConfig",
        {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 32,
        },
    ),
    "t5": (
        "T5Config",
        {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0},
    ),
}


PLAIN = {"source": "hub", "classifier": "new", "precision": "float32"}
TEXTS = [("a good film",), ("bad",), ("not a very good story",), ("the film was very dull",)]


def make_folder(folder, kind="bert", *, weights=True, tokenizer=True, **changes):
    """A folder as save_pretrained writes it; its head has `num_labels` outputs, 2 unless said."""
    transformers = pytest.importorskip("transformers")
    name, options = ARCHITECTURES[kind]
    config = getattr(transformers, name)(**{**SMALL, **options, **changes})
    folder.mkdir(parents=True, exist_ok=True)
    if weights:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = transformers.AutoModelForSequenceClassification.from_config(config)
        model.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
    if tokenizer:
        make_tokenizer().save_pretrained(folder)
    return folder


def make_tokenizer():
    """Whole words; "[CLS] a [SEP]" and "[CLS] a [SEP] b [SEP]", the end of text last."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    cut = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106
    cut.pre_tokenizer = pre_tokenizers.Whitespace()
    cut.post_processor = processors.TemplateProcessing(
        single="[CLS] $A </s>",
        pair="[CLS] $A [SEP] $B:1 </s>:1",
        special_tokens=[(word, WORDS.index(word)) for word in ("[CLS]", "[SEP]", "</s>")],
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=cut, model_max_length=512, **special)


def write_sst2(data_dir, count=48):
    """Sentences that are good or bad, in the form of GLUE's SST-2, with a labelled test file."""
    folder = data_dir / "glue" / "SST-2"
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    for split, n in (("train", count), ("dev", count // 2), ("test", count // 2)):
        rows = ["sentence\tlabel"]
        for number in range(n):
            length = int(torch.randint(1, 12, (), generator=generator))
            fill = [WORDS[10 + int(i)] for i in torch.randint(0, 6, (length,), generator=generator)]
            rows.append(f"{split}{number} {' '.join(fill)} {('bad', 'good')[number % 2]}\t{number % 2}")
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    return data_dir


def build(folder, num_outputs=2, seed=0, **changes):
    torch.manual_seed(seed)
    return hf((2, 8), num_outputs, name=str(folder), **{**PLAIN, **changes})


def text_task(folder, tmp_path, texts=TEXTS, **changes):
    """A task of texts, all of them in each split, encoded."""
    split = Split(torch.arange(len(texts)), torch.arange(len(texts)) % 2)
    task = Task(
        split,
        split,
        split,
        2,
        loss=torch.nn.functional.cross_entropy,
        score=lambda outputs, targets: (outputs.argmax(1) == targets).float(),
        texts=texts,
    )
    return tokenize(task, HFTokenizer(name=str(folder), **{"max_length": 16, **changes}), tmp_path)


def many(count=90):
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 12, (count,), generator=generator).tolist()
    return [(" ".join(["good", "bad", "film"][i % 3] for i in range(n)),) for n in lengths]
