"""Every method of conf/method around a small model."""

from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from experiments.config.build import build
from intrinsic.models.vit import ViT
from intrinsic.testing.reader import Reader
from tests.support.configs import composed

DIM = 60  # at least one coordinate for each tensor of the small model


class Small(nn.Module):
    """Every kind of layer that needs care: a convolution, BatchNorm, dropout, an embedding, tied weights."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 5)
        self.convolution = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.inner = nn.Linear(4 * 9 + 5, 5)
        self.decoder = nn.Linear(5, 6, bias=False)
        self.decoder.weight = self.embedding.weight
        self.head = nn.Linear(6, 3)

    def forward(self, image, token):
        features = F.relu(self.norm(self.convolution(image))).flatten(1)
        hidden = torch.tanh(self.inner(torch.cat([features, self.embedding(token)], 1)))
        return self.head(F.dropout(self.decoder(hidden), 0.2, self.training))


class Attentive(Small):
    """With a transformer in it, for the spaces that need one."""

    def __init__(self):
        super().__init__()
        self.transformer = ViT((1, 5, 5), 4, patch=1, width=4, depth=1, heads=2, dropout=0.0)
        self.inner = nn.Linear(4 * 9 + 5 + 4, 5)
        image, token, _ = data()
        self.dummy_inputs = {"image": image, "token": token}

    def forward(self, image, token):
        features = F.relu(self.norm(self.convolution(image))).flatten(1)
        hidden = torch.tanh(self.inner(torch.cat([features, self.embedding(token), self.transformer(image)], 1)))
        return self.head(F.dropout(self.decoder(hidden), 0.2, self.training))


class Reading(Attentive):
    """With a part in it that reads tokens."""

    def __init__(self):
        super().__init__()
        self.reader = Reader(5)

    def forward(self, image, token):
        return super().forward(image, token) + self.reader(token[:, None] + torch.arange(3))[:, :3]


config_of = cache(composed)


def space_of(method):
    return build(config_of(f"method={method}")["space"], "space")


def small(method, seed=0):
    needs = space_of(method).needs
    torch.manual_seed(seed)
    model = (Reading() if "tokens" in needs else Attentive() if "attention" in needs else Small()).double()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # also biases and scales, which start at 0 and 1
    return model


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(8, 1, 5, 5, generator=generator).double(), torch.arange(8) % 6, torch.arange(8) % 3


@cache
def full_dim(method):
    """How many numbers of the small model may move."""
    return intrinsic.Subspace(small(method), space=space_of(method)).full_dim


def wrap(method, model, seed=0):
    """The method of a config file around a model."""
    space = space_of(method)
    dim = [f"dim={min(DIM, full_dim(method))}"] if "dim" in config_of(f"method={method}") else []
    config = config_of(f"method={method}", *dim)
    projection = build(config["projection"], "projection")
    return intrinsic.Subspace(
        model, space=space, projection=projection, head=config["head"], seed=seed, **config["subspace"]
    )


def step(net, optimizer):
    image, token, target = data()
    net.train()
    torch.manual_seed(5)  # dropout
    optimizer.zero_grad()
    F.cross_entropy(net(image, token), target).backward()
    optimizer.step()


def trained(method, seed=0):
    net = wrap(method, small(method), seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(5):
        step(net, optimizer)
    return net.eval()
