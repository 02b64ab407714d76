"""Prefixes of attention that a module computes itself, against the formula; LoRA on linear layers of other kinds."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic

HEADS, HEAD_DIM = 2, 3


class Attention(nn.Module):
    """Two ways of writing it: torch.bmm over heads of all rows, as BLOOM has it, and torch's function."""

    def __init__(self, *, whole):
        super().__init__()
        self.whole, self.num_heads, self.head_dim = whole, HEADS, HEAD_DIM
        self.fused, self.out = nn.Linear(5, 3 * HEADS * HEAD_DIM), nn.Linear(HEADS * HEAD_DIM, 5)

    def split(self, x):
        return self.fused(x).unflatten(-1, (HEADS, 3, HEAD_DIM)).transpose(1, 2).unbind(3)

    def forward(self, x):
        query, key, value = self.split(x)
        if self.whole:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            q, k, v = (each.reshape(-1, *each.shape[2:]) for each in (query, key, value))
            mixed = torch.bmm((torch.bmm(q, k.mT) * HEAD_DIM**-0.5).softmax(-1), v).view(query.shape)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.start, self.attention, self.head = nn.Linear(5, 5), Attention(**options), nn.Linear(5, 2)

    def forward(self, x):
        x = self.start(x)
        return self.head(x + self.attention(x))


@pytest.mark.parametrize("whole", [False, True])
def test_the_prefix_of_attention_of_its_own_follows_the_formula(whole):
    torch.manual_seed(0)
    model, x = Block(whole=whole).double().eval(), torch.randn(3, 4, 5, dtype=torch.float64)
    before = model(x)
    net = intrinsic.Subspace(model, space=intrinsic.Prefix(length=2))
    torch.testing.assert_close(net(x), before, atol=0, rtol=0)
    own = dict(net.model.named_parameters())
    gate, K, V = (own[f"attention.prefix.{name}"] for name in ("gate", "key", "value"))
    with torch.no_grad():
        gate.normal_()
    h = model.start(x)
    query, key, value = model.attention.split(h)
    weights = (query @ key.mT / HEAD_DIM**0.5).softmax(-1) @ value
    share = gate.tanh() * ((query @ K.mT / HEAD_DIM**0.5).softmax(-1) @ V)
    expected = model.head(h + model.attention.out((weights + share).transpose(1, 2).flatten(2)))
    torch.testing.assert_close(net(x), expected)
    torch.testing.assert_close(net.merge()(x), expected)
    plain = net.unwrap()
    assert type(plain.attention) is Attention
    torch.testing.assert_close(plain(x), before, atol=0, rtol=0)


class Own(nn.Linear):
    """A linear layer with a forward of its own that is one, as Falcon's, or times two."""

    factor = 1

    def forward(self, x):
        return self.factor * (x @ self.weight.T + self.bias)


class Twice(Own):
    factor = 2


def test_a_linear_layer_is_known_by_what_it_returns():
    def model(kind):
        return nn.Sequential(kind(5, 4), nn.Linear(4, 2))

    assert intrinsic.Subspace(model(Own), space=intrinsic.LoRA(2)).coordinate_names == ["0.lora_A", "0.lora_B"]
    with pytest.raises(intrinsic.UserError, match=r"^0: LoRA cannot update a Twice with a forward of its own"):
        intrinsic.Subspace(model(Twice), space=intrinsic.LoRA(2))


def test_all_linear_gives_a_matrix_as_much_as_it_has_room_for():
    def model():
        return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 1), nn.Linear(1, 2))

    net = intrinsic.Subspace(model(), space=intrinsic.LoRA(4, alpha=8.0))
    assert [len(net.model.get_parameter(f"{i}.lora_A")) for i in (0, 1)] == [4, 1]
    assert [net.model[i].scaling for i in (0, 1)] == [2.0, 8.0]  # alpha / its own rank, as by rank_pattern
    for space in (intrinsic.LoRA(4, targets=["1"]), intrinsic.LoRA(4, rank_pattern={"1": 2}), intrinsic.LoRA(6)):
        with pytest.raises(intrinsic.UserError, match="need rank <= "):
            intrinsic.Subspace(model(), space=space)


def test_a_network_of_convolutions_is_told_what_works():
    def model():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2))

    with pytest.raises(intrinsic.UserError, match=r"no linear layer but its head: name conv.*targets=\['0'\], or use"):
        intrinsic.LoRA(2).wire(model(), seed=0)
    assert list(intrinsic.LoRA(2, targets=["0"]).wire(model(), seed=0)) == ["0.lora_A", "0.lora_B"]
