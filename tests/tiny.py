"""Tiny models of transformers at random weights, with a tokenizer, as folders."""

import pytest
import torch

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
