"""A net on what an earlier one has left: LoRA on LoRA, on a subspace, on an adapter."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from intrinsic.errors import UserError
from intrinsic.layers.low_rank import LowRank


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x).tanh()).tanh())


def base():
    torch.manual_seed(0)
    return Model()


X = torch.linspace(-1, 1, 24).view(4, 6)
FIRST = {
    "lora": {"space": intrinsic.LoRA(rank=2)},
    "onehot": {"projection": intrinsic.OneHot, "dim": 9},
    "unilora": {"space": intrinsic.LoRA(rank=2), "projection": intrinsic.OneHot, "dim": 9},
}
SECOND = {
    "lora": {"space": intrinsic.LoRA(rank=3, targets=["first"], alpha=3.0)},
    "onehot": {"projection": intrinsic.OneHot, "dim": 7},
    "unilora": {"space": intrinsic.LoRA(rank=1), "projection": intrinsic.Fastfood, "dim": 5},
}


def shaken(net, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return net.eval()


def left_by(name):
    """The model that a trained net has left, and what it returned."""
    net = shaken(intrinsic.Subspace(base(), **FIRST[name]))
    expected = net(X).detach()
    return net.unwrap(keep=True), expected


@pytest.mark.parametrize("name", FIRST)
def test_what_was_trained_stays(name):
    model, expected = left_by(name)
    torch.testing.assert_close(model.eval()(X), expected)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert any(isinstance(module, LowRank) for module in model.modules()) == ("lora" in name)


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("second", SECOND)
def test_a_second_net_starts_there_learns_saves_merges_and_goes(first, second, tmp_path):
    model, expected = left_by(first)
    other = copy.deepcopy(model)
    net = intrinsic.Subspace(model, **SECOND[second]).eval()
    torch.testing.assert_close(net(X), expected)
    shaken(net, seed=2)
    found = net(X).detach()
    assert (found - expected).abs().max() > 0.01
    intrinsic.save(net, tmp_path / "second.safetensors")
    torch.testing.assert_close(intrinsic.load(other, tmp_path / "second.safetensors").eval()(X), found)
    if second != "onehot" or "lora" not in first:  # there the kept factors move, too: they are weights of the model
        merged = net.merge()
        torch.testing.assert_close(merged(X), found)
        assert {type(module) for module in merged.children()} == {nn.Linear}
    torch.testing.assert_close(net.unwrap().eval()(X), expected)


@pytest.mark.parametrize("name", ["lora", "unilora"])
def test_a_bank_of_a_tree_of_tasks(name):
    model, expected = left_by("lora")
    bank, found = intrinsic.Bank(model), {}
    for seed in (3, 4):
        net = shaken(intrinsic.Subspace(copy.deepcopy(model), **SECOND[name]), seed)
        bank.add(f"task{seed}", net)
        found[f"task{seed}"] = net(X).detach()
    for task, result in found.items():
        torch.testing.assert_close(bank.use(task)(X), result)
        torch.testing.assert_close(bank.merge(task)(X), result)
    torch.testing.assert_close(bank.use(None)(X), expected)
    rows = bank(X, tasks=["task3", None, "task4", "task3"])
    torch.testing.assert_close(rows[0], found["task3"][0])
    torch.testing.assert_close(rows[1], expected[1])
    torch.testing.assert_close(rows[2], found["task4"][2])


def test_names_and_bits_are_those_without_an_earlier_one():
    alone = intrinsic.Subspace(base(), space=intrinsic.LoRA(rank=3, targets=["first"]))
    model, _ = left_by("lora")
    net = intrinsic.Subspace(model, space=intrinsic.LoRA(rank=3, targets=["first"]))
    assert net.coordinate_names == ["first.base.lora_A", "first.base.lora_B"]
    assert torch.equal(next(net.parameters()), next(alone.parameters()))


def test_what_is_not_kept_is_refused(tmp_path):
    net = intrinsic.Subspace(base(), space=intrinsic.LoRA(rank=2))
    with pytest.raises(UserError, match=r"already has LoRA layers: merge them first, or keep them by unwrap"):
        intrinsic.Subspace(net.model, space=intrinsic.LoRA(rank=2))
    model, _ = left_by("lora")
    with pytest.raises(UserError, match="stands on LoRA of its own"):
        intrinsic.export_peft(intrinsic.Subspace(model, space=intrinsic.LoRA(rank=1)), tmp_path)
