"""Embeddings with max_norm, which shorten rows in place when they read them: never those of the base."""

import copy

import pytest
import torch
from torch import nn

import intrinsic

TEXTS = torch.tensor([[1, 2, 3], [4, 2, 0], [5, 5, 1]])


class Words(nn.Module):
    """The mean of a text's vectors, of which some are longer than they may be."""

    def __init__(self, bag, dtype, norm_type=2.0):
        super().__init__()
        torch.manual_seed(0)
        kind = nn.EmbeddingBag if bag else nn.Embedding
        self.table = kind(6, 5, max_norm=1.5, norm_type=norm_type).to(dtype)
        self.head, self.bag = nn.Linear(5, 2).to(dtype), bag

    def forward(self, texts):
        return self.head(self.table(texts) if self.bag else self.table(texts).mean(1))


def shortened(*args):
    model = Words(*args)
    with torch.no_grad():
        for _ in range(2):
            model.table(torch.arange(6)[None])
    return model


REFUSED = {
    "z": {"projection": intrinsic.Dense, "dim": 7},
    "z beside it": {"space": intrinsic.Head(), "projection": intrinsic.Dense, "dim": 7},
    "lora": {"space": intrinsic.LoRA(1, targets=["head"])},
    "head": {"space": intrinsic.Head()},
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("bag", [False, True])
def test_rows_that_a_call_would_shorten_are_named(case, bag):
    model = Words(bag, torch.float64)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(intrinsic.UserError, match=r"^table has rows beyond its max_norm=1.5, .* look all of them up"):
        intrinsic.Subspace(model, **REFUSED[case])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize(("bag", "norm_type"), [(False, 2.0), (True, 2.0), (False, 1.0)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_calls_of_the_base_change_no_net(case, bag, norm_type, dtype, tmp_path):
    model = shortened(bag, dtype, norm_type)
    before = model.table.weight.detach().clone()
    net = intrinsic.Subspace(model, **REFUSED[case])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.linspace(-2, 2, parameter.numel()).view_as(parameter))
    net(TEXTS).square().sum().backward()
    with torch.no_grad():
        first = net(TEXTS)
        net.model(TEXTS)  # the base, but for what it holds itself
        assert torch.equal(net(TEXTS), first)
    assert torch.equal(model.table.weight, before)
    intrinsic.save(net, tmp_path / "net.safetensors")
    again = intrinsic.load(shortened(bag, dtype, norm_type), tmp_path / "net.safetensors")
    with torch.no_grad():
        assert torch.equal(again(TEXTS), first)
        if dtype is torch.float64:
            torch.testing.assert_close(net.merge()(TEXTS), first)


def test_a_net_is_the_formula_where_z_makes_rows_too_long():
    model = shortened(False, torch.float64)
    net = intrinsic.Subspace(model, projection=intrinsic.Dense, dim=7)
    with torch.no_grad():
        net.z.fill_(3.0)
        theta = dict(zip(net.coordinate_names, net.projection(net.z).split(net.coordinate_sizes), strict=True))
        theta = {name: p + theta[name].view_as(p) for name, p in model.named_parameters()}
        length = theta["table.weight"].norm(dim=1, keepdim=True)
        assert length.max() > 1.5
        table = theta["table.weight"] * torch.where(length > 1.5, 1.5 / (length + 1e-7), 1.0)  # as torch has it
        expected = table[TEXTS].mean(1) @ theta["head.weight"].T + theta["head.bias"]
        torch.testing.assert_close(net(TEXTS), expected)
    torch.testing.assert_close(net(TEXTS).detach(), expected)


def test_full_training_and_tasks_of_a_bank():
    intrinsic.Subspace(Words(False, torch.float64))  # the table's own numbers are trained, and shortened, as ever
    model = Words(False, torch.float64)
    bank, task = intrinsic.Bank(model), intrinsic.Subspace(shortened(False, torch.float64), **REFUSED["z"])
    with pytest.raises(intrinsic.UserError, match="table has rows beyond its max_norm"):
        bank.add("task", task)
