"""Rows of padding in embeddings: torch gives them no gradient, so that they must not move with z."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad

import intrinsic
from intrinsic.subspace.redrawn import Redrawn
from intrinsic.tasks.task import Split, Task
from intrinsic.training.fit import fit
from intrinsic.training.replicas import Replicas
from tests.support.padded import LABELS, PADDING, TEXTS, Bag, Mean, loss, make


def slope(net, parameter, index):
    """By a difference, without any gradient."""
    values = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            parameter.view(-1)[index] += step
            values.append(loss(net).item())
    with torch.no_grad():
        parameter.view(-1)[index] += 1e-6
    return (values[0] - values[1]) / 2e-6


@pytest.mark.parametrize("model", [Mean, Bag, lambda: Mean(tied=True)])
@pytest.mark.parametrize(
    "options", [{}, {"stream": True}, {"scales": "layer"}, {"granularity": "tensor"}, {"granularity": "block"}]
)
def test_the_gradient_is_that_of_what_is_computed(model, options):
    net = make(model, **options)
    for _ in range(3):  # the third step fills the weights of the first ones again
        net.zero_grad()
        loss(net).backward()
    for parameter in net.parameters():
        found = [slope(net, parameter, index) for index in range(parameter.numel())]
        torch.testing.assert_close(parameter.grad.view(-1), torch.tensor(found, dtype=torch.float64), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    "projection", [intrinsic.OneHot, intrinsic.Dense, intrinsic.Sparse, intrinsic.Kronecker, intrinsic.Select]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_row_stays_wherever_weights_are_asked_for(projection, dtype):
    net = make(projection=projection, dtype=dtype)
    theta = net.model.table.weight.detach()
    with torch.no_grad():
        without = net.weights()["table.weight"]
    for weight in (net.weights()["table.weight"].detach(), without, net.merge().table.weight.detach()):
        assert torch.equal(weight[PADDING], theta[PADDING])
        assert not torch.equal(weight, theta)


def test_a_loop_of_torch_func_and_copies_agree():
    net = make()
    loss(net).backward()
    names = {name: parameter.detach() for name, parameter in net.named_parameters() if parameter.requires_grad}

    def at(z):
        return nn.functional.cross_entropy(functional_call(net, names | {"z": z}, (TEXTS,)), LABELS)

    torch.testing.assert_close(grad(at)(net.z.detach()), net.z.grad)
    other = copy.deepcopy(net)
    other.zero_grad()
    loss(other).backward()
    assert torch.equal(other.z.grad, net.z.grad)


def right(outputs, targets):
    return (outputs.argmax(-1) == targets).float()


def test_fit_takes_the_steps_of_a_loop_and_leaves_the_row():
    split = Split(TEXTS, LABELS)
    task = Task(split, split, split, num_outputs=2, loss=nn.functional.cross_entropy, score=right, metric="accuracy")
    nets = [make(dtype=torch.float32) for _ in range(2)]
    optimizers = [torch.optim.Adam(net.parameters(), lr=0.1, fused=True) for net in nets]
    for _ in fit(nets[0], task, optimizers[0], epochs=2, batch_size=8, seed=0):
        pass
    nets[1].train()
    for _ in range(2):
        optimizers[1].zero_grad()
        loss(nets[1]).backward()
        optimizers[1].step()
    torch.testing.assert_close(nets[0].z, nets[1].z)
    assert torch.equal(nets[0].model.table.weight, nets[1].model.table.weight)


def test_replicas_are_the_nets_that_they_hold():
    nets = [make(seed=seed) for seed in (0, 1)]
    replicas = Replicas(nets)
    together = replicas.map(
        lambda call, weights, texts: nn.functional.cross_entropy(call(texts), LABELS), TEXTS.expand(2, -1, -1)
    )
    together.sum().backward()
    for number, net in enumerate(nets):
        loss(net).backward()
        torch.testing.assert_close(replicas.trained["z"].grad[number], net.z.grad)


def test_the_row_stays_when_p_is_drawn_anew():
    torch.manual_seed(1)
    model = Mean()
    before = model.table.weight[PADDING].clone()
    net = Redrawn(model, projection=intrinsic.OneHot, dim=10, every=1)
    for _ in range(3):
        with torch.no_grad():
            net.z.add_(0.5)
        net.redraw()
    assert torch.equal(net.model.table.weight[PADDING], before)


def test_a_row_that_is_counted_from_the_end():
    torch.manual_seed(1)
    model = Mean()
    model.table.padding_idx = -1
    net = intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=10)
    with torch.no_grad():
        net.z.add_(0.5)
    moved = net.weights()["table.weight"].detach() != model.table.weight.detach()
    assert moved.any(1).tolist() == [True] * 19 + [False]
    assert not torch.equal(net.weights()["first.bias"].detach(), model.first.bias.detach())


def test_a_weight_that_is_computed_is_not_asked_for():
    model = Mean()
    nn.utils.parametrizations.spectral_norm(model.table)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    intrinsic.Subspace(model, projection=intrinsic.OneHot, dim=10)
    assert before
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_full_training_and_other_models_are_left_alone():
    assert isinstance(intrinsic.Subspace(Mean()).projection, intrinsic.Identity)
    assert type(make(lambda: nn.Sequential(nn.Embedding(20, 6), nn.Flatten())).projection) is intrinsic.Fastfood
