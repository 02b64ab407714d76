"""Branches of residual connections: found by a call, in modules whose names say nothing."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from intrinsic.models.vit import ViT
from intrinsic.surgery.dataflow.branches import find_branches


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.g = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.g * x / x.square().mean(-1, keepdim=True).sqrt()


class Layer(nn.Module):
    """Attention, by hand or by torch's function, to itself or to something else, and a gated feed-forward."""

    def __init__(self, *, whole=False, parallel=False):
        super().__init__()
        self.whole, self.parallel = whole, parallel
        self.n = Norm(8)
        self.a, self.b, self.c, self.d = (nn.Linear(8, 8) for _ in range(4))
        self.e, self.f, self.g = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)
        self.scale = nn.Parameter(torch.ones(8))

    def attention(self, x, y):
        query, key, value = self.a(x), self.b(y), self.c(y)
        if self.whole:
            return self.d(F.scaled_dot_product_attention(*(each[:, None] for each in (query, key, value)))[:, 0])
        return self.d(F.dropout((query @ key.mT / 3).softmax(-1), 0.1, self.training) @ value)

    def feed_forward(self, x):
        return F.dropout(self.scale * self.g(F.silu(self.e(x)) * self.f(x)), 0.1, self.training)

    def forward(self, x, y=None):
        read = self.n(x)
        attention = self.attention(read, read if y is None else y)
        if self.parallel:
            return x + (attention + self.feed_forward(read))
        x = x + self.n(attention)  # a normalisation behind the branch
        return x + self.feed_forward(x)


class Two(nn.Module):
    """A layer, and one that reads what it says."""

    def __init__(self, **options):
        super().__init__()
        self.start, self.p, self.q = nn.Linear(3, 8), Layer(**options), Layer(**options)

    def forward(self, x):
        x = self.start(x)
        return self.q(x, self.p(x))


def said(model):
    return [(branch.name, branch.does, branch.keys, branch.values) for branch in find_branches(model)]


@pytest.mark.parametrize("options", [{}, {"whole": True}, {"parallel": True}])
def test_branches_of_a_model_that_nobody_knows(options):
    assert said(Two(**options)) == [
        ("p.d", "self-attention", ("p.b",), ("p.c",)),
        ("p.g", "feed-forward", (), ()),
        ("q.d", "cross-attention", ("q.b",), ("q.c",)),
        ("q.g", "feed-forward", (), ()),
    ]
    (first, *_) = find_branches(Two(**options))
    assert (first.width, first.linears) == (8, ("p.a", "p.b", "p.c", "p.d"))


def test_the_model_is_not_called_and_stays_what_it_was():
    model, calls = ViT((1, 4, 4), 3, patch=2, width=8, depth=1, heads=2, dropout=0.5), []
    model.register_forward_hook(lambda *_: calls.append(1))
    state, draws = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    model.requires_grad_(False)
    with torch.no_grad():
        assert [branch.name for branch in find_branches(model)] == ["blocks.0.attention.output", "blocks.0.down"]
    assert model.training
    assert not calls
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_model_whose_code_asks_for_numbers():
    class Asks(Two):
        def forward(self, x):
            return super().forward(x if x.sum() == 0 else -x)

    assert [branch.name for branch in find_branches(Asks())] == ["p.d", "p.g", "q.d", "q.g"]


def test_a_model_without_known_inputs_is_told_what_to_say():
    class Strange(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = Layer()

        def forward(self, *, strange):
            return self.p(strange)

    model = Strange()
    with pytest.raises(intrinsic.UserError, match=r"^Strange cannot be called on made-up inputs .*dummy_inputs"):
        find_branches(model)
    model.dummy_inputs = {"strange": torch.zeros(1, 4, 8)}
    assert [branch.name for branch in find_branches(model)] == ["p.d", "p.g"]
