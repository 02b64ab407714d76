"""Small nets that are trained on several tasks over one base."""

import torch
from torch import nn

import intrinsic

LORA = {"space": intrinsic.LoRA(3, targets=["first", "second"]), "head": "train"}


METHODS = {
    "lora": LORA,
    "wide": {"space": intrinsic.LoRA(5, targets=["first"]), "head": "train"},
    "all": {"space": intrinsic.LoRA(2, targets=["first", "embedding", "convolution"])},
    "unilora": {"space": intrinsic.LoRA(3, targets=["first", "second"]), "projection": intrinsic.OneHot, "dim": 20},
    "projected": {**LORA, "head": "project", "projection": intrinsic.Fastfood, "dim": 20},
    "subspace": {"projection": intrinsic.Fastfood, "dim": 20},
    "sparse": {"projection": intrinsic.Sparse, "dim": 20},
    "said": {"projection": intrinsic.Fastfood, "dim": 30, "scales": "layer"},
    "bitfit": {"space": intrinsic.BitFit()},
    "head": {"space": intrinsic.Head()},
    "full": {},
}


class Net(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.convolution = nn.Embedding(9, 16), nn.Conv2d(1, 2, 3, padding=1)
        self.norm, self.first, self.second = nn.BatchNorm1d(16), nn.Linear(16, 24), nn.Linear(24, 16, bias=False)
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(16, outputs)

    def forward(self, tokens, mask=None):
        hidden = self.embedding(tokens)
        hidden = hidden + self.convolution(hidden.unsqueeze(1)).mean(1)
        hidden = self.dropout(self.second(self.first(hidden).tanh()))
        if mask is not None:
            hidden = hidden * mask.unsqueeze(-1)
        return {"logits": self.head(self.norm(hidden.mean(1))), "hidden": hidden}


TOKENS = torch.arange(42).view(6, 7) % 9


def trained(options, seed=0, outputs=3, norm=False):
    """A task: some numbers where z = 0 was; `norm`: with other running statistics as well."""
    net = intrinsic.Subspace(Net(outputs), seed=seed, **options)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    if norm:
        net.train()(TOKENS)
    return net.eval()


def logits(net, *args, **kwargs):
    with torch.no_grad():
        return net(*args, **kwargs)["logits"]
