"""Deep Q-learning: an update against its formula in float64, what is kept and put back, and what is learned."""

import copy
from functools import partial

import pytest
import torch

import intrinsic
from experiments.run.state import load_optimizer, optimizer_state
from intrinsic.data.cartpole import CartPole, cartpole
from intrinsic.errors import UserError
from intrinsic.models.mlp import MLP
from intrinsic.tasks.control import control
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.task import Split, classification
from intrinsic.training.compiled_episodes import CompiledEpisodes
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.experience import Experience
from intrinsic.training.fit import fit
from intrinsic.training.linear_warmup import LinearWarmup
from intrinsic.training.q_learner import QLearner


class Sides(Environment):
    """A reward of 1 for the action that the sign of the observation names; five steps, and that is all."""

    name, observation_shape, num_actions, horizon = "sides", (1,), 2, 5

    def reset(self, seeds):
        return seeds, self.observed(seeds)

    def observed(self, state):
        return (2.0 * (state % 2) - 1)[:, None].float()

    def step(self, state, actions):
        rewards = (actions == state % 2).float()
        state = (state * 7 + 3) // 2
        return state, self.observed(state), rewards, torch.zeros(len(state), dtype=torch.bool)


def policy_net(dim=10, inputs=4, **options):
    torch.manual_seed(0)
    model = MLP((inputs,), 2, depth=2, width=20, dropout=0.0)
    return intrinsic.Subspace(model, projection=intrinsic.Dense, dim=dim, seed=0, **options)


def identity_net():
    torch.manual_seed(0)
    return intrinsic.Subspace(MLP((4,), 2, depth=2, width=20, dropout=0.0))


def epochs_of(net, task, optimizer, epochs, history=(), **options):
    return list(fit(net, task, optimizer, epochs=epochs, batch_size=8, seed=3, history=history, **options))


def some_experience(count=1):
    experience, generator = Experience(50, (4,)), torch.Generator().manual_seed(1)
    for k in range(count):
        before, after = torch.randn(2, 1, 4, generator=generator)
        experience.add(before, torch.tensor([k % 2]), torch.tensor([1.5]), after, goes_on=k % 3 < 2)
    return experience


@pytest.mark.parametrize("make", [policy_net, identity_net])
@pytest.mark.parametrize("target", ["shared", "network"])
def test_an_update_is_its_formula(make, target):
    """The gradient that Adam is given, of three times the same transition, and what the target then is."""
    net = make()
    optimizer = DeepQLearning(net.parameters(), lr=0.01, gamma=0.9, target=target, clip=0.5)
    optimizer.experience = some_experience()
    reference, kept = copy.deepcopy(net), []
    optimizer.register_step_pre_hook(lambda *_: kept.append([p.grad.clone() for p in net.parameters()]))
    learner = QLearner(net, optimizer, l2_weights=0.01)
    with learner.held():
        learner.move()
        learner.update(optimizer.experience, torch.rand(3).double())
    before, after = some_experience().draw(torch.zeros(1)).observations[:, 0].double()
    q = reference.double()
    numbers, weights = dict(q.named_parameters()), q.weights()
    with torch.no_grad():
        worth = 1.5 + 0.9 * q(after[None]).max()
    loss = (q.call(weights, before[None])[0, 0] - worth) ** 2
    loss = loss + 0.01 * sum(w.square().sum() for w in weights.values() if w.ndim > 1)
    for grad, expected in zip(kept[0], torch.autograd.grad(loss, list(numbers.values())), strict=True):
        expected = expected * min(1, 0.5 / expected.norm())
        torch.testing.assert_close(grad.double(), expected, rtol=1e-4, atol=1e-6)  # float32
    assert optimizer.experience.updates == 1
    for name, follows in optimizer.experience.target.items():
        moved = dict(net.named_parameters())[name]
        started = numbers[name].float()
        torch.testing.assert_close(follows, started + 0.01 * (moved - started))
    assert bool(optimizer.experience.target) == (target == "network")


@pytest.mark.parametrize("make", [policy_net, identity_net, lambda: policy_net(300)])
@pytest.mark.parametrize("target", ["shared", "network"])
def test_compiled_episodes_are_those_of_torch(make, target, monkeypatch):
    """Within rounding for some episodes, after which an action or a fall is another."""
    found = []
    for kernels in ("auto", "torch"):
        monkeypatch.setenv("INTRINSIC_KERNELS", kernels)
        net = make()
        optimizer = DeepQLearning(net.parameters(), lr=0.001, target=target, replay=30, clip=1.0)
        options = {"l2_weights": 0.01}
        assert CompiledEpisodes.suit(net, CartPole(), optimizer) == (kernels == "auto")
        history = epochs_of(net, cartpole(episodes=4), optimizer, 2, **options)
        found.append((list(net.parameters()), optimizer.experience, optimizer.state_dict(), history))
    (ours, mine, state, history), (theirs, other, expected, same) = found
    assert [epoch.train_loss for epoch in history] == [epoch.train_loss for epoch in same]
    assert (mine.steps, mine.stored, mine.updates) == (other.steps, other.stored, other.updates)
    assert mine.updates > 20
    assert mine.stored > 30
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(mine.rows, other.rows, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(mine.target, other.target, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(state["state"][0], expected["state"][0], rtol=1e-2, atol=1e-4)


def test_episodes_of_a_network_that_somebody_has_changed_are_those_of_torch():
    net = policy_net()
    optimizer = DeepQLearning(net.parameters(), lr=0.001)
    assert CompiledEpisodes.suit(net, CartPole(), optimizer)
    hook = net.model.head.register_forward_hook(lambda _, __, outputs: outputs * 2)
    assert not CompiledEpisodes.suit(net, CartPole(), optimizer)
    hook.remove()
    assert CompiledEpisodes.suit(net, CartPole(), optimizer)


def test_an_end_has_no_future():
    experience = Experience(5, (4,))
    experience.add(torch.ones(1, 4), torch.tensor([1]), torch.tensor([2.0]), torch.ones(1, 4), goes_on=False)
    net = policy_net()
    optimizer = DeepQLearning(net.parameters(), lr=0.01)
    optimizer.experience = experience
    learner = QLearner(net, optimizer, l2_weights=0.0)
    with learner.held():
        learner.move()
        for _ in range(400):
            learner.update(experience, torch.rand(4).double())
    assert net(torch.ones(1, 4))[0, 1].item() == pytest.approx(2.0, abs=0.05)


def test_the_ring_keeps_the_last():
    experience = Experience(3, (2,))
    for k in range(5):
        one = torch.full((1, 2), float(k))
        experience.add(one, torch.tensor([k]), torch.tensor([0.5]), one + 1, goes_on=True)
    assert len(experience) == 3
    drawn = experience.draw(torch.arange(200).double() / 200)
    assert set(drawn.actions.tolist()) == {2, 3, 4}
    torch.testing.assert_close(drawn.observations[0, :, 0], drawn.actions.float())
    torch.testing.assert_close(drawn.observations[1], drawn.observations[0] + 1)


def test_exploration_falls_along_a_line():
    optimizer = DeepQLearning([torch.zeros(1, requires_grad=True)], exploration=[0.5, 0.1], exploration_steps=100)
    optimizer.experience = Experience(1, (1,))
    found = []
    for updates in (0, 50, 100, 1000):
        optimizer.experience.updates = updates
        found.append(optimizer.exploration())
    assert found == pytest.approx([0.5, 0.3, 0.1, 0.1])


@pytest.mark.parametrize("target", ["shared", "network"])
def test_a_run_that_goes_on_has_the_same_bits(target):
    """By what a checkpoint holds of the optimiser: the buffer, the counts, the returns and the target."""
    task, net = control(Sides(), episodes=6), policy_net(inputs=1)
    optimizer = DeepQLearning(net.parameters(), lr=0.01, target=target, replay=20)
    first = epochs_of(net, task, optimizer, 1)
    again = copy.deepcopy(net)
    other = DeepQLearning(again.parameters(), lr=0.01, target=target, replay=20)
    load_optimizer(other, *copy.deepcopy(optimizer_state(optimizer)))
    whole, resumed = epochs_of(net, task, optimizer, 3, first), epochs_of(again, task, other, 3, first)
    assert torch.equal(net.z, again.z)
    assert [(e.train_loss, e.validation) for e in whole] == [(e.train_loss, e.validation) for e in resumed]
    assert optimizer.experience.updates == other.experience.updates > 20


def test_sides_are_learned_and_that_ends_the_run():
    task, net = control(Sides(), episodes=60), policy_net(inputs=1)
    optimizer = DeepQLearning(net.parameters(), lr=0.02, exploration=[0.5, 0.0], exploration_steps=50, solved=4.5)
    state = torch.get_rng_state()
    history = epochs_of(net, task, optimizer, 20)
    assert torch.equal(torch.get_rng_state(), state)
    assert history[-1].test["return"] == 5
    assert len(history) < 10
    assert history[-1].train_loss <= -4.5
    assert history[-1].train is not None  # as of any last epoch
    assert not epochs_of(net, task, optimizer, 20, history)  # killed before its record


@pytest.mark.parametrize("options", [{"space": intrinsic.LoRA(rank=2)}, {"space": intrinsic.Head()}, {}])
def test_any_method_is_trained(options):
    torch.manual_seed(0)
    net = intrinsic.Subspace(MLP((4,), 2, depth=2, width=20, dropout=0.1), **options)
    before = copy.deepcopy(dict(net.named_parameters()))
    epochs_of(net, cartpole(episodes=2), DeepQLearning(net.parameters(), lr=0.01), 1, l2_weights=0.1)
    assert not all(torch.equal(before[name], parameter) for name, parameter in net.named_parameters())


def test_bad_input():
    z = [torch.zeros(1, requires_grad=True)]
    for options, match in [
        ({"gamma": 1}, r"need optim\.gamma below 1, got gamma=1"),
        ({"gamma": -1}, r"need a finite optim\.gamma >= 0"),
        ({"exploration": 0.5}, r"need optim\.exploration as two numbers, first and last, got 0\.5"),
        ({"exploration": [0.5, 2]}, r"need optim\.exploration of at most 1, got exploration=2"),
        ({"exploration_steps": 0}, r"need an integer optim\.exploration_steps >= 1"),
        ({"replay": 0}, r"need an integer optim\.replay >= 1"),
        ({"store_every": 0}, r"need an integer optim\.store_every >= 1"),
        ({"target": "other"}, r"need optim\.target=network or shared, got optim\.target='other'"),
        ({"clip": "much"}, r"need a finite optim\.clip >= 0"),
        ({"solved": True}, r"need a finite optim\.solved"),
    ]:
        with pytest.raises(UserError, match=match):
            DeepQLearning(z, **options)
    net = policy_net()
    optimizer = DeepQLearning(net.parameters())
    with pytest.raises(UserError, match="takes as many steps as its episodes last: use schedule=constant"):
        epochs_of(net, cartpole(episodes=2), optimizer, 1, schedule=partial(LinearWarmup, epochs=2, warmup=0.1))
    split = Split(torch.zeros(4, 4), torch.zeros(4).long())
    examples = classification(split, split, split, num_outputs=2)
    with pytest.raises(UserError, match="learns from episodes, and the dataset has examples: use environment=cartpole"):
        epochs_of(net, examples, optimizer, 1)
