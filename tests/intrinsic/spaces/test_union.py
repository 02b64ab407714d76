"""Unions: from config and checkpoint, in order, without doubles, and what is refused."""

import copy

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from intrinsic.errors import UserError
from tests.support.configs import composed
from tests.support.tiny_transformers import logits, tiny


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3))


def test_parts_have_the_values_of_their_own_files():
    spaces = composed("space=lora_prefix")["space"]["spaces"]
    assert spaces == {name: composed(f"space={name}")["space"] for name in ("lora", "prefix")}


def test_a_config_may_hold_spaces_in_spaces():
    union = build(composed("method=lora_prefix", "rank=3", "length=5", "space.spaces.lora.alpha=2.0")["space"], "space")
    assert union == intrinsic.Union({"lora": intrinsic.LoRA(3, alpha=2.0), "prefix": intrinsic.Prefix(5)})
    listed = build({"_target_": "intrinsic.Union", "spaces": [{"_target_": "intrinsic.BitFit"}]}, "space")
    assert listed == intrinsic.Union([intrinsic.BitFit()])


@pytest.mark.parametrize("target", ["os.system", "torch.optim.Adam", "experiments.run.train.train", "intrinsicx.a"])
def test_only_spaces_stand_among_the_spaces(target):
    node = {"_target_": "intrinsic.Union", "spaces": {"x": {"_target_": target, "command": "true"}}}
    with pytest.raises(UserError, match=rf"_target_={target} is refused as space: need a name in intrinsic.spaces"):
        build(node, "space")


def test_coordinates_come_in_order_and_once():
    model = network()
    space = intrinsic.Union([intrinsic.LoRA(2, targets=["3"]), intrinsic.BitFit(), intrinsic.Head()])
    coordinates = space.wire(model, seed=0)
    assert list(coordinates) == [
        *("3.lora_A", "3.lora_B"),
        *("0.bias", "1.bias", "3.base.bias", "5.bias"),
        "5.weight",  # whose bias is there already
    ]
    inside = dict(model.named_parameters())
    assert all(inside[name] is parameter for name, parameter in coordinates.items())


def test_names_are_those_of_the_last_model():
    model = tiny("bert")
    space = intrinsic.Union([intrinsic.LoRA(2), intrinsic.Adapter(2), intrinsic.Prefix(2)])
    coordinates = space.wire(model, seed=0)
    inside = dict(model.named_parameters())
    assert all(inside[name] is parameter for name, parameter in coordinates.items())
    assert "bert.encoder.layer.0.output.dense.base.lora_A" in coordinates


def test_a_part_that_does_not_fit_leaves_the_model_as_it_was():
    model = network()
    types = [type(module) for module in model.modules()]
    with pytest.raises(UserError, match="space prefix needs attention"):
        intrinsic.Subspace(model, space=intrinsic.Union([intrinsic.LoRA(2), intrinsic.Prefix(2)]))
    assert [type(module) for module in model.modules()] == types


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, intrinsic.UserError])
def test_what_stops_a_part_leaves_the_model_as_it_was(stop, monkeypatch):
    def fail(*_, **__):
        raise stop("planted")

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    modules = list(model.modules())
    monkeypatch.setattr(intrinsic.BitFit, "wire", fail)
    with pytest.raises(stop, match="planted"):
        intrinsic.Subspace(model, space=intrinsic.Union([intrinsic.LoRA(2), intrinsic.BitFit()]))
    assert list(model.modules()) == modules


def test_parts_draw_numbers_of_their_own():
    space = intrinsic.Union([intrinsic.LoRA(2, targets=["0"]), intrinsic.Adapter(2, targets=["3"])])
    first, again, other = (space.wire(network(), seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.lora_A"], other["0.lora_A"])
    assert not torch.equal(first["3.adapter_down"], other["3.adapter_down"])


@pytest.mark.parametrize("spaces", [list, dict])
def test_a_checkpoint_may_hold_spaces_in_spaces(spaces, tmp_path):
    inner = intrinsic.Union([intrinsic.LoRA(2, targets=["query", "value"])])
    parts = {"low rank": inner, "prefix": intrinsic.Prefix(3, mlp=4)}
    union = intrinsic.Union(parts if spaces is dict else list(parts.values()))
    net = intrinsic.Subspace(tiny("bert"), space=union)
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter += torch.linspace(-0.5, 0.5 + index / 10, parameter.numel()).view_as(parameter)
    intrinsic.save(net, tmp_path / "run.safetensors")
    again = intrinsic.load(tiny("bert"), tmp_path / "run.safetensors")
    settled = {**parts, "prefix": intrinsic.Prefix(3)}
    assert again.space == intrinsic.Union(settled if spaces is dict else list(settled.values()))
    torch.testing.assert_close(logits(again, "bert"), logits(net, "bert"), atol=0, rtol=0)
    copied = copy.deepcopy(net)
    torch.testing.assert_close(logits(copied, "bert"), logits(net, "bert"), atol=0, rtol=0)


@pytest.mark.parametrize("spaces", [[], {}, "lora", None, [intrinsic.Full], [{"rank": 2}]])
def test_bad_options(spaces):
    with pytest.raises(UserError, match="need spaces as a list of at least one space, or as spaces by name, got"):
        intrinsic.Union(spaces)
