"""Small models that PEFT and this library put LoRA on."""

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def bert(seed=0, **changes):
    torch.manual_seed(seed)
    options = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "initializer_range": 0.2,
    }
    config = BertConfig(**{**options, "vocab_size": 40, "max_position_embeddings": 16, "num_labels": 3, **changes})
    return BertForSequenceClassification(config).eval()


def gpt2(seed=0):
    torch.manual_seed(seed)
    options = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16, "initializer_range": 0.2}
    return GPT2LMHeadModel(GPT2Config(**options, vocab_size=40, eos_token_id=0, bos_token_id=0)).eval()


class Block(nn.Module):
    """Attention that is called: nn.TransformerEncoderLayer's fast path would read the weights past PEFT's update."""

    def __init__(self):
        super().__init__()
        self.self_attn, self.linear = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 16)

    def forward(self, x):
        return x + self.linear(self.self_attn(x, x, x, need_weights=False)[0])


def attention(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(40, 16), Block(), Block(), nn.Linear(16, 3)).eval()


def stir(parameters, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
