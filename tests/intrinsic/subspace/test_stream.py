"""Gradients that are projected as they come: the same coordinates, and no moment that holds them all."""

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import intrinsic
from experiments.config.build import build
from intrinsic.projections.granularity import draw
from tests.support.configs import ROOT, composed, names
from tests.support.flat_net import Net, flat_gradient, inputs

SIZES = [7, 600, 1, 129, 64, 200]
DIM = 70
ENTRIES = {"dense gaussian": {"entries": "gaussian"}, "fastfood signs": {"entries": "signs"}}


def projections():
    for name in names("projection"):
        if name != "identity":
            yield name
    yield from ENTRIES


def made(name, granularity="global"):
    kind, _, entries = name.partition(" ")
    make = build(composed("method=subspace", f"projection={kind}")["projection"], "projection")
    if entries:
        make = partial(make, **ENTRIES[name])
    return draw(make, DIM, SIZES, granularity=granularity, seed=3)


@pytest.mark.parametrize("granularity", ["global", "tensor", "block"])
@pytest.mark.parametrize("name", list(projections()))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_pieces_add_up(name, granularity, dtype):
    projection = made(name, granularity)
    g = torch.randn(sum(SIZES), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    P = projection.multiply(torch.eye(DIM, dtype=torch.float64)).T  # (full_dim, dim)
    low = 0
    for size in SIZES:
        found = projection.multiply_rows(g[low : low + size], low)
        expected = P[low : low + size].T @ g[low : low + size].double()
        assert found.dtype == torch.promote_types(dtype, torch.float32)
        # 600 terms of size 1, of float32 for all but float64
        torch.testing.assert_close(found.double(), expected, atol=1e-12 if dtype == torch.float64 else 1e-4, rtol=0)
        low += size


def test_many_rows_go_in_parts():
    for name in ("onehot", "sparse"):
        make = build(composed("method=subspace", f"projection={name}")["projection"], "projection")
        projection = make(DIM, 300_000, seed=3)
        g = torch.randn(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        whole = torch.zeros(300_000, dtype=torch.float64)
        whole[50_000:250_000] = g
        torch.testing.assert_close(
            projection.multiply_rows(g, 50_000), projection.multiply(whole, transposed=True), atol=1e-10, rtol=0
        )


def test_signs_that_are_not_stored(monkeypatch):
    expected = made("dense").multiply_rows(torch.ones(600), 7)
    monkeypatch.setattr("intrinsic.projections.dense.STORED", 0)
    torch.testing.assert_close(made("dense").multiply_rows(torch.ones(600), 7), expected)


def pair(reentrant=None, **options):
    nets = [
        intrinsic.Subspace(Net(reentrant).double(), projection=intrinsic.Fastfood, dim=20, stream=stream, **options)
        for stream in (True, False)
    ]
    for net in nets:
        net.z.data.copy_(torch.linspace(-1, 1, len(net.z)))
    return nets


@pytest.mark.parametrize("reentrant", [None, True, False])
@pytest.mark.parametrize("options", [{}, {"granularity": "tensor"}, {"scales": "layer"}], ids=str)
def test_gradients_are_the_same(reentrant, options):
    streamed, plain = (net.train() for net in pair(reentrant, **options))
    x = inputs().requires_grad_()
    for _ in range(3):  # buffers are used again; a tied, a shared and an unused weight
        torch.testing.assert_close(flat_gradient(streamed, x), flat_gradient(plain, x))


def test_gradients_of_gradients_and_two_forward_passes():
    streamed, plain = (net.eval() for net in pair())
    second = []
    for net in (streamed, plain):
        loss = net(inputs()).square().sum() + net(2 * inputs()).square().sum()
        (first,) = torch.autograd.grad(loss, net.z, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), net.z)[0])
    torch.testing.assert_close(*second)


def test_each_gradient_is_projected_before_the_next_layers():
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(5)])
    net, events = intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=9, stream=True), []
    for index, layer in enumerate(model):
        layer.register_full_backward_pre_hook(lambda *_, index=index: events.append(index))
    multiply_rows = net.projection.multiply_rows
    net.projection.multiply_rows = lambda g, low: events.append(f"{low // 72}") or multiply_rows(g, low)
    net(torch.ones(2, 8, requires_grad=True)).sum().backward()
    order = [
        event for k in (4, 3, 2, 1, 0) for event in (k, f"{k}", f"{k}")
    ]  # weight and bias of a layer, then the next
    assert events == order


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux, to forget a peak of memory")
def test_the_peak_of_memory():
    """In units of the weights: all of the gradients, or few."""
    code = "from tests.support.backward_peak import peak; print(peak(True), peak(False))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    streamed, plain = map(float, done.stdout.split())
    assert streamed < 0.3  # of twenty layers the gradients of a few
    assert 0.6 < plain < 1.3  # all gradients, and no copy of them


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_in_another_thread_while_a_backward_pass_is_half_way(stream):
    """It finds room of its own: the weights that the pass has yet to read stay."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)]
    net = intrinsic.Subspace(nn.Sequential(*layers), projection=intrinsic.OneHot, dim=9, stream=stream)
    hidden: list[torch.Tensor] = []
    layers[3].register_forward_hook(lambda _, __, outputs: hidden.append(outputs))
    x, others = torch.randn(5, 4), []

    def gradient(scale):
        return torch.autograd.grad(net(scale * x).square().sum(), net.z)[0]

    def meanwhile(_):
        thread = threading.Thread(target=lambda: others.append(gradient(3)))
        thread.start()
        thread.join()

    expected = [gradient(1), gradient(3)]
    outputs = net(x)
    hidden[-1].register_hook(meanwhile)
    found = torch.autograd.grad(outputs.square().sum(), net.z)[0]
    assert torch.equal(found, expected[0])
    assert torch.equal(others[0], expected[1])
