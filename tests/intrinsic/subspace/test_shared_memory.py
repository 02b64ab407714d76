"""Parameters in the memory of others, as after `a.weight.data = b.weight.data`: P never unties them silently."""

import pytest
import torch
from torch import nn

import intrinsic

TOKENS = torch.arange(6)


class TiedByMemory(nn.Module):
    """What is tied by data is two parameters to torch; an optimiser's steps of either move both."""

    def __init__(self, part):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(6, 4).double(), nn.Linear(4, 6 - part, bias=False).double()
        self.head.weight.data = self.table.weight.data[part:]

    def forward(self, tokens):
        return self.head(self.table(tokens))


class Pieces(nn.Module):
    """Parameters that are rows, or columns, of one tensor: their own numbers alone."""

    def __init__(self, axis):
        super().__init__()
        torch.manual_seed(0)
        pieces = torch.randn(4, 4, dtype=torch.float64).chunk(2, axis)
        self.first, self.second = map(nn.Parameter, pieces)

    def forward(self, tokens):
        return (self.first.sum() + 2 * self.second.square().sum()) * tokens


@pytest.mark.parametrize("part", [0, 2])
@pytest.mark.parametrize(
    "kind", [intrinsic.Subspace, lambda *args, **options: intrinsic.Redrawn(*args, every=2, **options)]
)
@pytest.mark.parametrize("select", [None, "table.*", "head.*"])
def test_two_parameters_in_the_same_memory_are_named(part, kind, select):
    model = TiedByMemory(part)
    with pytest.raises(
        intrinsic.UserError, match=r"^(table.weight and head|head.weight and table).weight are two .*one"
    ):
        kind(model, space=intrinsic.Full(select=select), projection=intrinsic.OneHot, dim=5)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_tied_as_told_they_are_one():
    model = TiedByMemory(0)
    model.head.weight = model.table.weight
    net = intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=5)
    assert net.full_dim == 24
    with torch.no_grad():
        net.z.fill_(0.5)
        weight = model.table.weight + net.projection(net.z).view(6, 4)
        torch.testing.assert_close(net(TOKENS), weight @ weight.T)
        kept = net(TOKENS)
    torch.testing.assert_close(net.unwrap(keep=True)(TOKENS), kept)


@pytest.mark.parametrize("axis", [0, 1])
def test_pieces_of_a_tensor_are_apart(axis):
    model = Pieces(axis)
    net = intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=5)
    assert net.full_dim == 16
    with torch.no_grad():
        net.z.fill_(0.5)
        first, second = (
            p + o.view_as(p) for p, o in zip(model.parameters(), net.projection(net.z).split(8), strict=True)
        )
        expected = (first.sum() + 2 * second.square().sum()) * TOKENS
        torch.testing.assert_close(net(TOKENS), expected)
        torch.testing.assert_close(net.unwrap(keep=True)(TOKENS), expected)


def test_what_an_optimiser_moves_is_its_own_affair():
    """Full training, and LoRA beside it, are as torch has them."""
    net = intrinsic.Subspace(TiedByMemory(0))
    torch.optim.SGD(net.parameters(), lr=0.1)
    model = TiedByMemory(0)
    lora = intrinsic.Subspace(model, space=intrinsic.LoRA(1, targets=["table"]), projection=intrinsic.OneHot, dim=5)
    with torch.no_grad():
        lora.z.fill_(0.5)
        A, B = (lora.weights()[f"table.lora_{name}"] for name in "AB")
        table = model.head.weight + 8.0 * (B @ A).T
        torch.testing.assert_close(lora(TOKENS), table @ model.head.weight.T)
        torch.testing.assert_close(lora.merge()(TOKENS), lora(TOKENS))
