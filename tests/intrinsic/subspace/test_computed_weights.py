"""Weights that torch computes from parameters, and keeps: each call computes its own."""

import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

import intrinsic

X = torch.linspace(-1, 1, 24, dtype=torch.float64).view(4, 6)


def model(compute):
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3)).double().eval()
    compute(made[0])
    return made


def net_around(made, seed=0):
    net = intrinsic.Subspace(made, projection=intrinsic.Dense, dim=20, seed=seed)
    with torch.no_grad():
        net.z.fill_(0.7)
    return net


PARAMETRIZED = [parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal]


@pytest.mark.parametrize("compute", PARAMETRIZED)
def test_what_torch_caches_is_of_one_call(compute):
    """Of two nets and their base within one `parametrize.cached()`, as apart from each other."""
    base = model(compute)
    nets = [net_around(base, seed) for seed in (0, 1)]
    with torch.no_grad():
        expected = [part(X) for part in (*nets, base)]
    gradients = [torch.autograd.grad(net(X).square().sum(), net.z)[0] for net in nets]
    assert not torch.allclose(expected[0], expected[2])
    for order in ((0, 1, 2), (2, 1, 0)):
        with parametrize.cached():
            found = {number: (*nets, base)[number](X) for number in order}
            for number, output in found.items():
                torch.testing.assert_close(output, expected[number], atol=1e-12, rtol=1e-12)
            for number in (0, 1):
                (gradient,) = torch.autograd.grad(found[number].square().sum(), nets[number].z)
                torch.testing.assert_close(gradient, gradients[number], atol=1e-12, rtol=1e-12)


def test_within_a_call_it_is_computed_once():
    base, count = model(parametrizations.orthogonal), []
    base[0].parametrizations.weight[0].register_forward_hook(lambda *_: count.append(1))
    net = net_around(nn.Sequential(base[0], base[0]))
    for cached, times in ((parametrize.cached(), 1), (torch.no_grad(), 2)):
        count.clear()
        with cached:
            net(X)
        assert len(count) == times
    before = net.model(X)
    with net.at(net.weights()), parametrize.cached():
        net.model(X)
    assert torch.equal(net.model(X), before)


HOOKED = {
    "weight_norm": nn.utils.weight_norm,
    "spectral_norm": nn.utils.spectral_norm,
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.4),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("compute", HOOKED)
@pytest.mark.parametrize("again", [False, True])
def test_threads_call_a_layer_that_keeps_its_weight(compute, again):
    """The second thread comes when the first has computed its weight, and not used it yet."""
    base, computed, over = model(HOOKED[compute]), threading.Event(), threading.Event()
    net, late = net_around(base), []
    with torch.no_grad():
        expected, of_base = net(X), base(X)
    (gradient,) = torch.autograd.grad(net(X).square().sum(), net.z)

    def wait(*_):
        if threading.current_thread() is threading.main_thread():
            computed.set()
            over.wait(0.2)  # if it can, the other one comes in between

    def other():
        computed.wait()
        with torch.no_grad():
            late.append(base(X))
        over.set()

    base[0].register_forward_pre_hook(wait)
    thread = threading.Thread(target=other)
    thread.start()
    x = X.clone().requires_grad_()
    found = net.run(lambda x: checkpoint(net.model, x, use_reentrant=False), net.weights(), x) if again else net(x)
    thread.join()
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(late, [of_base], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), net.z)[0], gradient, atol=1e-12, rtol=1e-12)
    merged = net.merge()
    assert len(merged[0]._forward_pre_hooks) == 2  # torch's and that of the test
