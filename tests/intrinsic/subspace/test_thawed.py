"""A base that somebody thaws, by `requires_grad_(True)` of a module around the net: refused before it can move."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

import intrinsic
from tests.support.guest_nets import X, plain

NETS = {
    "lora": {"space": intrinsic.LoRA(2)},
    "lora in a subspace": {"space": intrinsic.LoRA(2), "projection": intrinsic.OneHot, "dim": 9},
    "adapter": {"space": intrinsic.Adapter(2, targets=["0"])},
    "biases": {"space": intrinsic.BitFit()},
    "all": {"projection": intrinsic.Fastfood, "dim": 9},
    "beside a head": {"projection": intrinsic.Fastfood, "dim": 9, "head": "train"},
}
every_net = pytest.mark.parametrize("options", NETS.values(), ids=NETS)
REFUSED = r"takes a gradient, and the Subspace does not train it: freeze it again"


def around(net):
    """A module of somebody else's around the net, whose `requires_grad_` reaches all."""
    return nn.Sequential(net)


def train(outer, optimizer, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        outer(X).square().sum().backward()
        optimizer.step()


@every_net
def test_what_was_thawed_is_refused_at_every_use_and_never_moves(options, tmp_path):
    net = intrinsic.Subspace(plain(), **options)
    outer, counted = around(net), net.count()
    before = copy.deepcopy(net.model.state_dict())
    outer.requires_grad_(True)
    optimizer = torch.optim.SGD(outer.parameters(), lr=0.1, weight_decay=0.1)  # the base's among them
    uses = [lambda: outer(X), net.weights, lambda: intrinsic.save(net, tmp_path / "run.safetensors")]
    for use in (*uses, lambda: train(outer, optimizer)):
        with pytest.raises(intrinsic.UserError, match=REFUSED):
            use()
    with torch.no_grad():
        torch.testing.assert_close(net.merge()(X), outer(X))  # where nothing can be trained
    after = net.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert net.count() == counted


@every_net
def test_frozen_again_it_trains_as_if_nothing_had_been(options, tmp_path):
    nets = [intrinsic.Subspace(plain(), **options) for _ in range(2)]
    for net, thawed in zip(nets, (True, False), strict=True):
        outer = around(net)
        if thawed:
            outer.requires_grad_(True).requires_grad_(False)
            net.requires_grad_(True)
        optimizer = torch.optim.SGD(outer.parameters() if thawed else net.parameters(), lr=0.1)
        train(outer, optimizer)
    assert torch.equal(nets[0](X), nets[1](X))
    intrinsic.save(nets[0], tmp_path / "run.safetensors")
    assert torch.equal(intrinsic.load(plain(), tmp_path / "run.safetensors")(X), nets[1](X))


@every_net
def test_a_copy_and_a_base_of_other_values_are_watched_too(options):
    net = copy.deepcopy(intrinsic.Subspace(plain(), **options))
    state = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    net.model.load_state_dict(state, assign=True)
    net(X)
    frozen = [parameter for parameter in net.model.parameters() if not parameter.requires_grad]
    frozen[-1].requires_grad_(True)
    with pytest.raises(intrinsic.UserError, match=REFUSED):
        net(X)


def test_gradients_of_other_tensors_in_the_places_of_the_base_are_the_callers_own():
    net = intrinsic.Subspace(plain(), space=intrinsic.LoRA(2))
    weight = net.model.get_parameter("2.weight").detach().requires_grad_()
    outputs = functional_call(net, {"model.2.weight": weight}, (X,))
    (found,) = torch.autograd.grad(outputs.sum(), weight)
    hidden = net.model[1](net.model[0](X))
    torch.testing.assert_close(found, hidden.sum(0).expand(3, -1))
