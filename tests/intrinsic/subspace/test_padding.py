"""Rows of padding in embeddings: torch gives them no gradient, so that they must not move with z."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad

import intrinsic
from intrinsic.tasks.task import Split, Task
from intrinsic.training.fit import fit
from intrinsic.training.replicas import Replicas

PADDING = 3
TEXTS = torch.randint(4, 20, (8, 7), generator=torch.Generator().manual_seed(0))
TEXTS[:, 4:] = PADDING
LABELS = torch.arange(8) % 2


class Mean(nn.Module):
    """The mean over all places, padding included: what stands in its row counts."""

    def __init__(self, tied=False):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.table, self.last = nn.Embedding(20, 6, padding_idx=PADDING), nn.Linear(6, 20 if tied else 2)
        nn.init.normal_(self.table.weight)
        if tied:
            self.last.weight = self.table.weight

    def forward(self, texts):
        return self.last(self.table(texts).mean(1))


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(20, 2, padding_idx=PADDING, mode="mean")

    def forward(self, texts):
        return self.table(texts)


def make(model=Mean, *, dtype=torch.float64, **options):
    torch.manual_seed(1)
    net = intrinsic.Subspace(model().to(dtype), **{"projection": intrinsic.Fastfood, "dim": 10, "seed": 0} | options)
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.add_(torch.linspace(-0.5, 0.7, parameter.numel()).view_as(parameter) * (1 + number))
    return net


def loss(net):
    return nn.functional.cross_entropy(net(TEXTS), LABELS)


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


def test_files_of_nets_whose_padding_moved_are_read():
    """The fingerprint and the names of a state dict are those of P with all of its rows."""
    net = make()
    bare = intrinsic.Fastfood(net.dim, net.full_dim, seed=net.projection.seed)
    assert net.projection.fingerprint() == bare.fingerprint()
    assert set(net.projection.state_dict()) == set(bare.state_dict())
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = make(seed=0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(TEXTS), net(TEXTS))


def test_full_training_and_other_models_are_left_alone():
    assert isinstance(intrinsic.Subspace(Mean()).projection, intrinsic.Identity)
    assert type(make(lambda: nn.Sequential(nn.Embedding(20, 6), nn.Flatten())).projection) is intrinsic.Fastfood
