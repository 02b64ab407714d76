"""The evolution strategy: its gradient against loops in float64, its population against single nets, its runs."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import nn

import intrinsic
from intrinsic import rng
from intrinsic.data.cartpole import CartPole, cartpole
from intrinsic.errors import UserError
from intrinsic.models.mlp import MLP
from intrinsic.tasks.task import Split, classification
from intrinsic.training.evolution_strategy import EvolutionStrategy, ranks
from intrinsic.training.fit import fit
from intrinsic.training.replicas import Replicas
from intrinsic.training.stacked_mlp import stacked_mlp
from intrinsic.training.start import start


def policy_net(dim=10, **options):
    torch.manual_seed(0)
    model = MLP((4,), 2, depth=2, width=20, dropout=0.0)
    return intrinsic.Subspace(model, projection=intrinsic.Fastfood, dim=dim, seed=0, **options)


def test_ranks_are_those_of_scipy():
    scores = torch.tensor([3.0, 1.0, 3.0, 2.0, 3.0, 1.0])
    expected = (rankdata(scores.numpy()) - 1) / 5 - 0.5
    np.testing.assert_allclose(ranks(scores), expected, atol=1e-7)
    assert ranks(torch.ones(4)).tolist() == [0, 0, 0, 0]


def test_the_gradient_is_that_of_a_loop():
    z = nn.Parameter(torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64))
    optimizer = EvolutionStrategy([z], lr=0.0, sigma=0.3, population=6)
    members = optimizer.members({"z": z}, 7)["z"]
    e = rng.normals(7, 9).reshape(3, 3)
    np.testing.assert_allclose(members.detach(), z.detach().numpy() + 0.3 * np.concatenate([e, -e]))
    scores = -(members.detach() - 1).square().sum(1)
    optimizer.evolve({"z": z}, 7, scores)
    u = (rankdata(scores.numpy()) - 1) / 5 - 0.5
    expected = sum(u[i] * s * e[i % 3] for i, s in enumerate([1, 1, 1, -1, -1, -1])) / (6 * 0.3)
    np.testing.assert_allclose(-z.grad, expected, rtol=1e-12)


def test_a_quadratic_is_climbed():
    z = nn.Parameter(torch.zeros(5))
    optimizer = EvolutionStrategy([z], lr=0.1, sigma=0.1, population=32)
    for step in range(150):
        scores = -(optimizer.members({"z": z}, step)["z"] - 3).square().sum(1).detach()
        optimizer.evolve({"z": z}, step, scores)
    torch.testing.assert_close(z.detach(), torch.full((5,), 3.0), atol=0.2, rtol=0)


def test_members_are_nets_of_their_own():
    net = policy_net()
    assert net.full_dim == 562  # as published
    population, observations = Replicas([net] * 4), torch.randn(4, 7, 4)
    z = torch.randn(4, 10)
    population.place({"z": z})
    outputs = population.models()(observations)
    for k in range(4):
        with torch.no_grad():
            net.z.copy_(z[k])
            torch.testing.assert_close(outputs[k], net(observations[k]))


@pytest.mark.parametrize("options", [{}, {"space": intrinsic.Head()}, {"space": intrinsic.LoRA(rank=2)}])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_population_of_mlps_is_that_of_vmap(options, dropout, monkeypatch):
    """In batched products where it can be, which is when no layer drops anything and all weights are members' own."""
    torch.manual_seed(0)
    net = intrinsic.Subspace(MLP((2, 2), 2, depth=2, width=20, dropout=dropout), **options)
    net.train(dropout == 0)
    population, observations = Replicas([net] * 4), torch.randn(4, 7, 2, 2)
    population.place({name: torch.randn(4, *parameter.shape) for name, parameter in net.named_parameters()})
    found = population.models()(observations)
    seen = []
    monkeypatch.setattr("intrinsic.training.replicas.stacked_mlp", lambda model, tensors: seen.append(tensors))
    torch.testing.assert_close(found, population.models()(observations))
    assert len(seen) == 1
    made = stacked_mlp(net.model, seen[0])
    assert (made is not None) == (not options)
    assert stacked_mlp(MLP((4,), 2, depth=1, width=3, dropout=0.5), {}) is None  # it drops


class Halved(nn.Linear):
    """Another layer whose parameters have the same names."""

    def forward(self, inputs):
        return super().forward(inputs) / 2


def _double(_, __, outputs):
    return outputs * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.hidden[0].register_forward_hook(_double),
        lambda model: model.register_forward_pre_hook(lambda _, inputs: (inputs[0] + 1,)),
        lambda model: setattr(model, "forward", lambda inputs: model.head(model.hidden[0](inputs.flatten(1)))),
        lambda model: setattr(model, "head", Halved(20, 2)),
    ],
    ids=["hook", "hook before", "forward", "layer"],
)
def test_a_population_of_mlps_that_somebody_has_changed(change):
    torch.manual_seed(0)
    model = MLP((2, 2), 2, depth=1, width=20, dropout=0.0)
    change(model)
    net = intrinsic.Subspace(model)
    population, observations = Replicas([net] * 2), torch.randn(2, 7, 2, 2)
    trained = {name: torch.randn(2, *parameter.shape) for name, parameter in net.named_parameters()}
    population.place(trained)
    found = population.models()(observations)
    for k in range(2):
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.copy_(trained[name][k])
            torch.testing.assert_close(found[k], net(observations[k]))


def test_a_score_that_is_enough_ends_a_run():
    """After the first epoch that reaches it, and again when the run is opened anew."""
    task, net = cartpole(episodes=8), policy_net()
    optimizer = EvolutionStrategy(net.parameters(), lr=0.3, population=8, solved=5)  # as any policy reaches
    history = list(fit(net, task, optimizer, epochs=3, batch_size=8, seed=0))
    assert len(history) == 1
    assert history[0].test is not None
    assert not list(fit(net, task, optimizer, epochs=3, batch_size=8, seed=0, history=history))
    optimizer.enough = history[0].validation["return"]  # as much as that is enough
    assert not list(fit(net, task, optimizer, epochs=3, batch_size=8, seed=0, history=history))
    optimizer = EvolutionStrategy(net.parameters(), lr=0.3, population=8, solved=201)  # which none does
    assert len(list(fit(net, task, optimizer, epochs=3, batch_size=8, seed=0))) == 3
    with pytest.raises(UserError, match=r"need a finite optim\.solved, got optim\.solved='high'"):
        EvolutionStrategy(net.parameters(), solved="high")


def test_cartpole_is_the_equations_of_its_source():
    """Written out once more, for one episode in Python's floats."""
    environment, generator = CartPole(), torch.Generator().manual_seed(0)
    state, _ = environment.reset(torch.arange(3))
    assert np.abs(state).max() < 0.05
    x, v, a, w = (float(s) for s in state[1])
    for _ in range(1000):
        actions = torch.randint(2, (3,), generator=generator)
        state, observations, rewards, ended = environment.step(state, actions)
        force = 10.0 if actions[1] else -10.0
        push = (force + 0.05 * w * w * math.sin(a)) / 1.1
        turn = (9.8 * math.sin(a) - math.cos(a) * push) / (0.5 * (4 / 3 - 0.1 * math.cos(a) ** 2 / 1.1))
        x, v, a, w = x + 0.02 * v, v + 0.02 * (push - 0.05 * turn * math.cos(a) / 1.1), a + 0.02 * w, w + 0.02 * turn
        np.testing.assert_allclose(state[1], [x, v, a, w], atol=1e-6)
        assert bool(ended[1]) == (abs(x) > 2.4 or abs(a) > 12 * math.pi / 180)
        assert observations.dtype == torch.float32
        assert rewards.tolist() == [1, 1, 1]
        if ended[1]:
            state, _ = environment.reset(torch.randint(1000, (3,), generator=generator))
            x, v, a, w = (float(s) for s in state[1])


def test_an_episode_counts_until_it_ends():
    environment = CartPole()
    right = environment.returns(
        lambda observations: torch.tensor([0.0, 1.0]).expand(len(observations), 2), torch.arange(5)
    )
    assert right.min() >= 8
    assert right.max() <= 11  # a push to one side alone fells the pole
    random = environment.random_returns(torch.arange(100))
    assert torch.equal(random, environment.random_returns(torch.arange(100)))
    assert 15 < random.mean() < 30  # about 22, as everybody finds


def epochs_of(net, task, optimizer, epochs, history=()):
    return list(fit(net, task, optimizer, epochs=epochs, batch_size=4, seed=3, history=history))


def test_epoch_0_has_the_return_of_random_actions():
    task, net = cartpole(episodes=4), policy_net()
    beginning = start(net, task)
    random = task.environment.random_returns(task.test.inputs).mean()
    assert beginning["constant"]["test"] == pytest.approx(float(random))
    assert beginning["test"]["return"] == -beginning["test"]["loss"] > 0


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_same_bits():
    task, net = cartpole(episodes=8), policy_net()
    optimizer = EvolutionStrategy(net.parameters(), lr=0.1, sigma=0.3, population=8)
    first = epochs_of(net, task, optimizer, 1)
    again = deepcopy(net)
    other = EvolutionStrategy(again.parameters(), lr=0.1, sigma=0.3, population=8)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    whole, resumed = epochs_of(net, task, optimizer, 2, first), epochs_of(again, task, other, 2, first)
    assert torch.equal(net.z, again.z)
    assert [e.validation for e in whole] == [e.validation for e in resumed]


@pytest.mark.slow
@pytest.mark.nightly  # by day: examples are learned, and a quadratic is climbed
@pytest.mark.parametrize(("dim", "low", "high"), [(1, 0, 80), (50, 190, 200)])
def test_fifty_dimensions_balance_a_pole_and_one_does_not(dim, low, high):
    task, net = cartpole(episodes=80), policy_net(dim)
    optimizer = EvolutionStrategy(net.parameters(), lr=0.1, sigma=0.3, population=64)
    epochs = list(fit(net, task, optimizer, epochs=6, batch_size=8, seed=0))
    assert low <= epochs[-1].test["return"] <= high


@pytest.mark.slow
def test_examples_are_learned_without_gradients():
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    split = Split(inputs, (inputs[:, 0] > 0).long())
    net = policy_net(dim=20)
    optimizer = EvolutionStrategy(net.parameters(), lr=0.1, sigma=0.1, population=16)
    task = classification(split, split, split, num_outputs=2)
    epochs = list(fit(net, task, optimizer, epochs=10, batch_size=32, seed=0))
    assert epochs[-1].train_loss < 0.8 * epochs[0].train_loss
    assert epochs[-1].validation["accuracy"] > 0.8


def test_bad_input():
    net, task = policy_net(), cartpole(episodes=4)
    with pytest.raises(UserError, match="cartpole has returns, and no loss to differentiate: use optim=es"):
        fit(net, task, torch.optim.Adam(net.parameters()), epochs=1, batch_size=4, seed=0)
    with pytest.raises(UserError, match=r"scores, which have no penalty, got l2_weights=0\.1"):
        fit(net, task, EvolutionStrategy(net.parameters()), epochs=1, batch_size=4, seed=0, l2_weights=0.1)
    with pytest.raises(UserError, match=r"need an even optim\.population"):
        EvolutionStrategy(net.parameters(), population=5)
    with pytest.raises(UserError, match=r"need optim\.sigma > 0, got optim\.sigma=0"):
        EvolutionStrategy(net.parameters(), sigma=0)
    with pytest.raises(UserError, match="need an integer episodes >= 1"):
        cartpole(episodes=0)
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    normed = intrinsic.Subspace(model, projection=intrinsic.Dense, dim=2, seed=0)
    with pytest.raises(UserError, match="batch normalisation has statistics of one"):
        epochs_of(normed, task, EvolutionStrategy(normed.parameters()), 1)
