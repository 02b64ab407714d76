"""Weights in the buffer that serve for several passes."""

import gc
import weakref

import pytest
import torch
from torch import nn

from tests.support.flat_net import flat_gradient, functional_gradient, inputs, subspace


@pytest.mark.parametrize("touch", ["hook", "retain_grad", "in place", "detach", "new z", "cast z"])
def test_weights_that_somebody_has_touched_are_made_anew(touch):
    """A pass over others than before sees nothing of it; those that nobody touched serve again."""
    net, x = subspace().eval(), inputs()
    expected = flat_gradient(net, x)
    first = next(iter(net.weights().values()))
    flat_gradient(net, x)
    assert next(iter(net.weights().values())) is not first  # whose backward pass is still to come
    for _ in range(2):
        torch.testing.assert_close(flat_gradient(net, x), expected)
    first = next(iter(net.weights().values()))
    first.sum().backward()
    again = next(iter(net.weights().values()))
    assert again is first
    again.sum().backward()
    if touch == "hook":
        first.register_hook(lambda g: 2 * g)
    elif touch == "retain_grad":
        first.retain_grad()
    elif touch == "in place":
        first.mul_(2)
    elif touch == "detach":
        first.detach_()
    elif touch == "new z":
        net.z = nn.Parameter(net.z.detach().clone())
    else:
        net.z.data = net.z.data.float()
        expected = {"z": expected["z"].float()}
    torch.testing.assert_close(flat_gradient(net, x), expected)
    assert touch != "retain_grad" or first.grad is None


def test_a_net_that_has_taken_steps_is_forgotten():
    net = subspace()
    net(inputs()).sum().backward()
    gone = weakref.ref(net.projection)
    del net
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("touch", ["theta_0 elsewhere", "theta_0 strided", "z elsewhere", "in place", "another P"])
def test_a_pass_that_repeats_another_sees_what_has_changed(touch):
    """What is looked up once for weights that are filled again: addresses, and P."""
    net, x = subspace().eval(), inputs()
    for _ in range(3):
        flat_gradient(net, x)
    second = net.model.second.weight
    if touch == "theta_0 elsewhere":
        second.data = 2 * second.data
    elif touch == "theta_0 strided":  # square: of the same shape, at the same address
        second.data = second.data.t()
    elif touch == "z elsewhere":
        net.z.data = 2 * net.z.data
    elif touch == "in place":
        with torch.no_grad():
            second.mul_(2)
            net.z.mul_(2)
    else:
        net.projection = type(net.projection)(net.dim, net.full_dim, seed=7)
    for _ in range(3):
        torch.testing.assert_close(flat_gradient(net, x), functional_gradient(net, x))
