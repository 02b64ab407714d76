"""The weights in one buffer: the same gradients as by differentiable steps, and theta_0 left where it was."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

import intrinsic
from tests.support.flat_net import Net, coordinates, flat_gradient, functional_gradient, inputs, subspace
from tests.support.projections import every_class

both = pytest.mark.parametrize("scales", [None, "layer"])


class Bias(nn.Module):
    """One weight for each input, which is added to it."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return x + self.bias


def origin(net):
    return [parameter.clone() for parameter in net.model.parameters()]


def plus(one, other):
    return {name: one[name] + other[name] for name in one}


@both
@every_class
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_ways_give_the_same_gradient(projection, dtype, scales):
    net, x = subspace(projection, dtype, scales), inputs(dtype)
    before = origin(net)
    expected = functional_gradient(net.eval(), x)
    for _ in range(3):  # buffers are used again
        torch.testing.assert_close(flat_gradient(net, x), expected)
    assert net.projection.adjoint(torch.ones(net.full_dim)).shape == net.z.shape
    for now, then in zip(net.model.parameters(), before, strict=True):
        assert torch.equal(now, then)
        assert isinstance(now, nn.Parameter)


@both
@every_class
def test_both_ways_train_to_the_same_coordinates(projection, scales):
    flat, functional = (subspace(projection, scales=scales).eval() for _ in range(2))
    # eps: a gradient that is 0 but for its rounding, such as that of a constant in all logits, is no step
    optimizers = [torch.optim.Adam(net.parameters(), lr=0.1, eps=1e-4) for net in (flat, functional)]
    for step in range(20):
        x = inputs() * (1 + step / 10)
        flat_gradient(flat, x)
        for name, gradient in functional_gradient(functional, x).items():
            coordinates(functional)[name].grad = gradient
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(coordinates(flat), coordinates(functional), atol=1e-10, rtol=0)


@both
@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing_changes_nothing(reentrant, scales):
    x = inputs().requires_grad_()  # a reentrant checkpoint needs an input that does
    expected = flat_gradient(subspace(scales=scales).train(), x)
    net = subspace(reentrant=reentrant, scales=scales).train()
    before = origin(net)
    torch.testing.assert_close(flat_gradient(net, x), expected)
    assert all(map(torch.equal, net.model.parameters(), before))


@both
def test_two_passes_forward_before_one_backward(scales):
    net, x = subspace(scales=scales).eval(), inputs()
    expected = plus(flat_gradient(net, x), flat_gradient(net, 2 * x))
    net.zero_grad()
    (net(x).square().sum() + net(2 * x).square().sum()).backward()
    torch.testing.assert_close({name: p.grad for name, p in coordinates(net).items()}, expected)
    net(x)  # without a backward pass
    with torch.no_grad():
        net(x)
    torch.testing.assert_close(plus(flat_gradient(net, x), flat_gradient(net, 2 * x)), expected)


def test_gradients_accumulate():
    net, x = subspace().eval(), inputs()
    expected = flat_gradient(net, x)["z"]
    net(x).square().sum().backward()
    torch.testing.assert_close(net.z.grad, 2 * expected)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("changed", ["z", "lambdas"])
def test_an_overwritten_offset_is_noticed(stream, changed):
    net = intrinsic.Subspace(Bias(), projection=intrinsic.OneHot, dim=2, scales="layer", stream=stream)
    weights = net.weights()  # no step of a loss keeps theta, so autograd does not see that it is another
    first, loss = (net.call(weights, torch.ones(3)).sum() for _ in range(2))
    first.backward()
    with torch.no_grad():
        getattr(net, changed).add_(1)
    if changed == "z":
        net(torch.ones(3))
    with pytest.raises(RuntimeError, match=r"lambda or P z, .* has been overwritten by a later step"):
        loss.backward()


@pytest.mark.parametrize("stream", [False, True])
def test_an_overwritten_z_is_noticed_where_gradients_of_gradients_need_it(stream):
    net = subspace(scales="layer", stream=stream).eval()
    loss = net(inputs()).square().sum()
    loss.backward(retain_graph=True)
    with torch.no_grad():
        net.z.mul_(2)
    with pytest.raises(RuntimeError, match="z, which gradients of gradients need, has been overwritten"):
        torch.autograd.grad(loss, [net.z, net.lambdas], create_graph=True)


@pytest.mark.parametrize("stream", [False, True])
def test_an_overwritten_buffer_is_noticed(stream):
    net, x = subspace(stream=stream).eval(), inputs()
    weights = net.weights()
    first, loss = (net.call(weights, x).square().sum() for _ in range(2))
    first.backward()
    net(2 * x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@both
@pytest.mark.parametrize("stream", [False, True])
def test_a_graph_that_is_kept_has_its_weights(scales, stream):
    """Another pass at other z between two backward passes of one graph, as in full training."""
    net, x = subspace(scales=scales, stream=stream).eval(), inputs()
    expected = flat_gradient(net, x)
    loss = net(x).square().sum()
    loss.backward(retain_graph=True)
    with torch.no_grad():
        net.z.mul_(2)
    net(2 * x)
    net.zero_grad()
    loss.backward()
    for name, parameter in coordinates(net).items():
        torch.testing.assert_close(parameter.grad, expected[name])


@both
@pytest.mark.parametrize("stream", [False, True])
def test_gradients_through_a_step(scales, stream):
    """d/dz of L(z - lr dL/dz), as in MAML: by the buffer, and by new tensors."""
    net, x = subspace(scales=scales, stream=stream).eval(), inputs()

    def after_a_step(z):
        (first,) = torch.autograd.grad(functional_call(net, {"z": z}, (x,)).square().sum(), z, create_graph=True)
        return functional_call(net, {"z": z - 0.1 * first}, (x,)).square().sum()

    def functional(z):
        loss = lambda z: functional_call(net, {"z": z}, (x,)).square().sum()  # noqa: E731
        return loss(z - 0.1 * grad(loss)(z))

    (found,) = torch.autograd.grad(after_a_step(net.z), net.z)
    torch.testing.assert_close(found, grad(functional)(net.z.detach()))


@both
@pytest.mark.parametrize("stream", [False, True])
def test_gradients_of_gradients(scales, stream):
    net = subspace(scales=scales, stream=stream).eval()
    given = coordinates(net)

    def loss(given):
        return functional_call(net, given, (inputs(),)).square().sum()

    def size(gradients):
        return sum(gradient.square().sum() for gradient in gradients)

    firsts = torch.autograd.grad(net(inputs()).square().sum(), list(given.values()), create_graph=True)
    seconds = torch.autograd.grad(size(firsts), list(given.values()))
    rows = {name: parameter.detach()[None] for name, parameter in given.items()}
    expected = vmap(grad(lambda given: size(grad(loss)(given).values())))(rows)
    for name, second in zip(given, seconds, strict=True):
        torch.testing.assert_close(second, expected[name][0])


def test_copies_and_state_dicts_hold_theta_0():
    net, x = subspace().eval(), inputs()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    expected = flat_gradient(net, x)
    other = copy.deepcopy(net)
    torch.testing.assert_close(flat_gradient(other, x), expected)
    with torch.no_grad():
        other.model.first.bias.add_(1)  # the copy's own
    torch.testing.assert_close(flat_gradient(net, x), expected)
    assert not torch.allclose(flat_gradient(other, x)["z"], expected["z"])
    torch.save(net.state_dict(), file := io.BytesIO())
    file.seek(0)
    for name, tensor in torch.load(file, weights_only=True).items():
        assert torch.equal(tensor, before[name])
    plain = net.merge()
    torch.testing.assert_close(plain(x), net(x))
    assert {type(parameter) for parameter in plain.parameters()} == {nn.Parameter}


def test_a_change_of_theta_0_between_steps_counts():
    net, x = subspace().eval(), inputs()
    flat_gradient(net, x)
    for change in (
        lambda: net.model.second.bias.data.add_(1),
        lambda: net.model.load_state_dict(Net().double().state_dict()),
        lambda: net.model.load_state_dict(Net().double().state_dict(), assign=True),
        lambda: net.float(),
        lambda: net.double(),
        lambda: setattr(net.model.first.bias, "data", torch.ones_like(net.model.first.bias)),
    ):
        change()
        x = inputs(net.z.dtype)
        torch.testing.assert_close(flat_gradient(net, x), functional_gradient(net, x))


def test_an_exception_leaves_theta_0_in_place():
    net = subspace().eval()
    before = origin(net)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        net(torch.ones(2, 3, dtype=torch.float64))
    assert all(map(torch.equal, net.model.parameters(), before))
    loss = net(inputs()).square().sum()
    net.z.register_hook(lambda gradient: 1 / 0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        loss.backward()
    net.state_dict()
    assert all(map(torch.equal, net.model.parameters(), before))
