"""Modules that copy the dictionary of their parameters in a call, as LoRA in attention does: it holds theta_0 + P z."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

import intrinsic

X = torch.linspace(-1, 1, 48, dtype=torch.float64).view(2, 4, 6)
COPIES = {
    "dict": dict,
    "unpacked": lambda parameters: {**parameters},
    "ordered": OrderedDict,
    "method": lambda parameters: parameters.copy(),
    "copy": copy.copy,
    "or": lambda parameters: parameters | {},
    "or, second": lambda parameters: {} | parameters,
    "or of a copy": lambda parameters: {"other": None} | dict(parameters),
    "default": lambda parameters: {name: parameters.setdefault(name, None) for name in ("weight", "bias")},
    "pairs": lambda parameters: dict(zip(parameters, parameters.values(), strict=True)),
}


class Copying(nn.Linear):
    def __init__(self, case):
        super().__init__(6, 6, dtype=torch.float64)
        self.case = case

    def forward(self, x):
        parameters = COPIES[self.case](self._parameters)
        return x @ parameters["weight"].T + parameters["bias"]


@pytest.mark.parametrize("case", COPIES)
def test_a_copy_is_of_what_is_found(case):
    torch.manual_seed(0)
    layer = Copying(case)
    net = intrinsic.Subspace(layer, projection=intrinsic.Dense, dim=7)
    with torch.no_grad():
        net.z.fill_(0.5)
        offset, shift = net.projection(net.z).split(net.coordinate_sizes)
        expected = X @ (layer.weight + offset.view(6, 6)).T + layer.bias + shift
        torch.testing.assert_close(net(X), expected)
    found = net(X)
    torch.testing.assert_close(found.detach(), expected)
    (gradient,) = torch.autograd.grad(found.sum(), net.z)
    rows = torch.cat([X.sum((0, 1)).expand(6, 6).flatten(), torch.full((6,), 8.0, dtype=torch.float64)])
    torch.testing.assert_close(gradient, net.projection.adjoint(rows))
    assert [id(own) for own in layer._parameters.copy().values()] == [id(own) for own in layer.parameters()]
    assert type(copy.deepcopy(layer)._parameters) is dict


@pytest.mark.parametrize("targets", [["in_proj"], ["in_proj.q", "in_proj.v"]])
@pytest.mark.parametrize("options", [{"projection": intrinsic.Dense, "dim": 9}, {}])
def test_biases_move_beside_lora_within_attention(targets, options):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    plain = copy.deepcopy(attention)
    outer = nn.ModuleDict({"attention": attention})
    outer.forward = lambda x: outer["attention"](x, x, x)[0]
    space = intrinsic.Union([intrinsic.LoRA(2, alpha=2.0, targets=targets), intrinsic.BitFit()])
    net = intrinsic.Subspace(outer, space=space, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        weights = net.weights()
        for name in plain.state_dict():
            if f"attention.base.{name}" in weights:
                plain.get_parameter(name).copy_(weights[f"attention.base.{name}"])
        for target, rows in (("in_proj", slice(18)), ("in_proj.q", slice(6)), ("in_proj.v", slice(12, 18))):
            if target in targets:
                A, B = (weights[f"attention.{target}.lora_{factor}"] for factor in "AB")
                plain.in_proj_weight[rows] += B @ A
        expected = plain(X, X, X)[0]
        torch.testing.assert_close(net(X), expected)
    torch.testing.assert_close(net(X).detach(), expected)
    net(X).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
