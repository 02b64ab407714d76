"""Tiny models of transformers at random weights, one for each family, and a batch with padding for them."""

from importlib import import_module

import torch

SIZES = {"vocab_size": 30, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
LABELS = {"num_labels": 3}
WIDE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
LIVELY = {"initializer_range": 0.2}  # at the usual 0.02 so small a model hardly reacts to anything
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32}
T5 = {"d_model": 16, "d_kv": 4, "num_heads": 4, "d_ff": 32, "num_layers": 2, "decoder_start_token_id": 0}
FAMILIES = {
    "bert": ("Bert", "ForSequenceClassification", {**WIDE, **LABELS, **LIVELY, "max_position_embeddings": 32}),
    "roberta": ("Roberta", "ForSequenceClassification", {**WIDE, **LABELS, **LIVELY, "max_position_embeddings": 34}),
    "gpt2": ("GPT2", "ForSequenceClassification", {**GPT2, **LABELS, **LIVELY}),  # fused query, key and value
    "llama": ("Llama", "ForSequenceClassification", {**WIDE, **LABELS, **LIVELY, "num_key_value_heads": 2}),
    "t5": ("T5", "ForConditionalGeneration", T5),  # encoder and decoder, tied embeddings
}


def tiny(family, task=None, **options):
    """The family's model in evaluation mode, always the same one."""
    name, usual, sizes = FAMILIES[family]
    module = import_module(f"transformers.models.{name.lower()}")
    torch.manual_seed(0)
    config = getattr(module, f"{name}Config")(**SIZES, **sizes | options)
    return getattr(module, f"{name}{task or usual}")(config).eval()


def batch(family):
    """Arguments of the model's call: three rows of seven tokens, the first two tokens shorter, with labels."""
    tokens = torch.randint(2, 30, (3, 7), generator=torch.Generator().manual_seed(1))
    tokens[0, 5:] = 0
    labels = tokens if family == "t5" else torch.tensor([0, 1, 2])
    return {"input_ids": tokens, "attention_mask": (tokens != 0).long(), "labels": labels}


@torch.no_grad()
def logits(model, family):
    """What the model says of the batch."""
    return model.eval()(**batch(family)).logits
