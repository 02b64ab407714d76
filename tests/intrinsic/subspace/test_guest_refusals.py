"""Changes of a model under a net, and models that no net can be put around: one line each."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import intrinsic
from tests.support.guest_nets import X, plain, subspace


def parametrized(model):
    nn.utils.parametrizations.weight_norm(model[2])


TAKEN_APART = {
    "is not the module it was": lambda model: model.__setitem__(2, nn.Linear(16, 3)),
    "is not a parameter any more": lambda model: prune.l1_unstructured(model[2], "weight", 0.5),
    "is not a parameter any more|is not the module": parametrized,
    r"had the shape \(3,\) when the Subspace was made, now \(4,\)": lambda model: setattr(
        model[2], "bias", nn.Parameter(torch.zeros(4))
    ),
}


@pytest.mark.parametrize("reason", TAKEN_APART)
@pytest.mark.parametrize("projection", [intrinsic.Identity, intrinsic.Dense])
def test_what_was_replaced_is_noticed(reason, projection):
    net = intrinsic.Subspace(plain(), projection=projection, dim=None if projection is intrinsic.Identity else 5)
    TAKEN_APART[reason](net.model)
    for use in (lambda: net(X), net.merge, net.weights):
        with pytest.raises(intrinsic.UserError, match=rf"({reason}).*change the model first"):
            use()


REFUSED = {
    "need a torch.nn.Module as model, got NoneType": {"model": None},
    "the model is a Subspace itself": {"model": intrinsic.Subspace(plain())},
    "^0 is a Subspace itself": {"model": nn.Sequential(intrinsic.Subspace(plain()), nn.ReLU())},
    "weight is of a lazy layer and has no shape yet": {"model": nn.LazyLinear(3)},
    "compiled by TorchScript": {"model": torch.jit.trace(plain(), X)},
    "0.weight is on the meta device": {"model": plain().to("meta")},
    "need a space such as .*, got space='lora'": {"space": "lora"},
    r"need a space such as LoRA\(...\), got space=LoRA": {"space": intrinsic.LoRA},
    "need a projection class .* got projection='dense'": {"projection": "dense", "dim": 3},
    "need a projection class .* got projection=Linear": {"projection": nn.Linear, "dim": 3},
    "need a projection class .* got projection=Dense": {"projection": intrinsic.Dense(2, 9, seed=0), "dim": 3},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_a_subspace(reason):
    with pytest.raises(intrinsic.UserError, match=reason):
        intrinsic.Subspace(**{"model": plain()} | REFUSED[reason])


def test_two_nets_that_would_change_one_model():
    model = plain()
    first = intrinsic.Subspace(model)
    lora = {"space": intrinsic.LoRA(2)}
    for options in ({}, {"projection": intrinsic.Dense, "dim": 3}, lora):
        with pytest.raises(intrinsic.UserError, match="the model is in another Subspace"):
            intrinsic.Subspace(model, **options)
        assert [type(module) for module in model] == [nn.Linear, nn.ReLU, nn.Linear]
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert first.unwrap() is model
    wrapped = intrinsic.Subspace(model, **lora)
    wrapped.unwrap()
    assert all(parameter.requires_grad for parameter in model.parameters())
    second = subspace(model)
    with pytest.raises(intrinsic.UserError, match="the model is in another Subspace"):
        intrinsic.Subspace(model, projection=intrinsic.Dense, dim=3, **lora)  # trains z alone, but wraps layers
    del second, first
    subspace(intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=3, **lora).model)


def test_a_parameter_that_is_also_held_elsewhere_is_named():
    model = plain()
    model.elsewhere = [model[0].weight]
    with pytest.warns(UserWarning, match="Sequential '' holds a parameter in its attribute 'elsewhere', too"):
        subspace(model)
    intrinsic.Subspace(model, space=intrinsic.LoRA(2, targets=["2"]))  # whose numbers it does not hold


def test_an_interrupt_leaves_the_model_as_it_was(monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt("planted")

    model = plain()
    modules, flags = list(model.modules()), [p.requires_grad for p in model.parameters()]
    monkeypatch.setattr(intrinsic.Subspace, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt, match="planted"):
        intrinsic.Subspace(model, space=intrinsic.LoRA(2, targets=["0"]))
    assert list(model.modules()) == modules
    assert [p.requires_grad for p in model.parameters()] == flags
