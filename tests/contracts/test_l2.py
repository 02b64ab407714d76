"""The L2 of Li et al. on kernels: its gradient against a naive sum in float64, for every method and for replicas."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import intrinsic
from experiments.config.build import build
from intrinsic.models.vit import ViT
from intrinsic.testing.reader import Reader
from intrinsic.training.regularized import regularized
from intrinsic.training.replicas import Replicas
from tests.support.configs import composed, names

L2 = 0.3


def network(seed=0, needs=()):
    torch.manual_seed(seed)
    if "tokens" in needs:
        model = Reader(3)
    elif "attention" in needs:
        model = ViT((1, 3, 3), 3, patch=1, width=4, depth=1, heads=2, dropout=0.0)
    else:
        model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 8), nn.Linear(8, 3))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.double()


def data():
    return torch.rand(6, 1, 3, 3, generator=torch.Generator().manual_seed(0)).double(), torch.arange(6) % 3


def wrap(method, model, seed=0):
    config = composed(f"method={method}", *(["dim=12"] if "dim" in composed(f"method={method}") else []))
    space, projection = build(config["space"], "space"), build(config["projection"], "projection")
    net = intrinsic.Subspace(
        model, space=space, projection=projection, head=config["head"], seed=seed, **config["subspace"]
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1
    return net


def naive(loss, weights, l2_weights):
    """As it is written down: the sum of the squares of all entries of all kernels."""
    return loss + l2_weights * sum((w**2).sum() for w in weights.values() if w.ndim > 1)


def gradients(net, objective):
    inputs, targets = data()
    weights = net.weights()
    value = objective(F.cross_entropy(net.call(weights, inputs), targets), weights, L2)
    return torch.autograd.grad(value, list(net.parameters()))


@pytest.mark.parametrize("method", names("method"))
def test_gradient_is_that_of_the_naive_sum(method):
    needs = build(composed(f"method={method}")["space"], "space").needs
    net = wrap(method, network(needs=needs))
    expected = gradients(net, naive)
    without = gradients(net, lambda loss, _weights, _l2: loss)
    torch.testing.assert_close(gradients(net, regularized), expected, atol=1e-12, rtol=1e-10)
    kernels = any(w.ndim > 1 for w in net.weights().values())
    assert kernels == any(not torch.equal(a, b) for a, b in zip(expected, without, strict=True))


@pytest.mark.parametrize("method", ["subspace", "full"])
def test_replicas_have_it_too(method):
    nets = [wrap(method, network(seed), seed) for seed in (0, 1, 2)]
    for net in nets:
        net.model[1].track_running_stats = False
    replicas = Replicas(nets)
    inputs, targets = (tensor.expand(3, *tensor.shape) for tensor in data())

    def objective(call, weights, inputs, targets):
        return regularized(F.cross_entropy(call(inputs), targets), weights, L2)

    stacked = torch.autograd.grad(replicas.map(objective, inputs, targets).sum(), list(replicas.trained.values()))
    for index, net in enumerate(nets):
        expected = gradients(net, naive)
        torch.testing.assert_close([g[index] for g in stacked], list(expected), atol=1e-12, rtol=1e-10)


def test_gradient_of_the_gradient():
    """For those who ask: Hessian-vector products see the penalty."""
    weights = {"w": torch.rand(3, 2, dtype=torch.float64, requires_grad=True)}
    for objective in (naive, regularized):
        value = objective((weights["w"] ** 3).sum(), weights, L2)
        (first,) = torch.autograd.grad(value, weights["w"], create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), weights["w"])
        torch.testing.assert_close(second, 6 * weights["w"].detach() + 2 * L2)
