"""Environments of gymnasium: their episodes against a loop of single ones, and what is refused."""

import sys

import numpy as np
import pytest
import torch

import intrinsic
from experiments.run.setup import Setup
from intrinsic.data.cartpole import CartPole
from intrinsic.data.gymnasium import gymnasium as task_of
from intrinsic.errors import UserError
from intrinsic.models.mlp import MLP
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.gymnasium_environment import GymnasiumEnvironment
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.evolution_strategy import EvolutionStrategy
from intrinsic.training.evolve import evolve
from intrinsic.training.fit import fit
from intrinsic.training.learning_rates import LearningRates
from tests.support.configs import composed

gymnasium = pytest.importorskip("gymnasium", reason="needs gymnasium: pip install -e '.[rl]'")
SEEDS = torch.tensor([3, 1 << 40, 7, 3])


def policy(outputs):
    """Of four observations."""
    weights = torch.tensor([[0.1, 0.5, 2.0, 0.4], [0.3, -0.2, -1.0, 0.1]])[:outputs]
    return lambda observations: observations @ weights.T


def alone(name, seed, act):
    """The return of one episode by gymnasium's own loop."""
    environment = gymnasium.make(name)
    observation, _ = environment.reset(seed=seed)
    total = 0.0
    while True:
        observation, reward, fallen, late, _ = environment.step(act(torch.from_numpy(observation).float()))
        total += reward
        if fallen or late:
            return total


def test_a_choice_of_actions():
    environment = GymnasiumEnvironment("CartPole-v0")
    assert (environment.observation_shape, environment.num_actions, environment.horizon) == ((4,), 2, 200)
    assert environment.is_choice
    found = environment.returns(policy(2), SEEDS)
    assert found.tolist() == [alone("CartPole-v0", int(s), lambda o: int(policy(2)(o).argmax())) for s in SEEDS]
    assert torch.equal(environment.returns(policy(2), SEEDS.flip(0)), found.flip(0))
    assert found[0] == found[3]
    assert 15 < environment.random_returns(torch.arange(50)).mean() < 30  # as our own


def test_our_cartpole_is_gymnasiums():
    """Its states over 1,000 random steps, from the same starts."""
    theirs, ours, generator = gymnasium.make("CartPole-v1").unwrapped, CartPole(), np.random.default_rng(0)
    steps = 0
    while steps < 1000:
        state, _ = theirs.reset(seed=steps)
        mine = np.array(theirs.state)[None]
        ended = False
        while not ended:
            action = int(generator.integers(2))
            state, _, ended, *_ = theirs.step(action)
            mine, seen, _, fallen = ours.step(mine, torch.tensor([action]))
            np.testing.assert_allclose(mine[0], theirs.state, rtol=0, atol=1e-12)
            np.testing.assert_allclose(seen[0], state, rtol=0, atol=1e-6)
            assert bool(fallen[0]) == ended
            steps += 1


def test_numbers_are_cut_off_at_their_bounds():
    pytest.importorskip("mujoco")
    environment = GymnasiumEnvironment("InvertedPendulum-v5", horizon=50)
    assert (environment.observation_shape, environment.num_actions, environment.horizon) == ((4,), 1, 50)
    outputs = torch.tensor([[-9.0], [0.5], [float("nan")], [float("inf")]])
    assert environment.actions(outputs).flatten().tolist() == [-3, 0.5, 0, 3]
    drawn = environment.random_outputs(1000, torch.Generator().manual_seed(0))
    assert -3 <= drawn.min() < -2.9
    assert 2.9 < drawn.max() <= 3
    found = environment.returns(policy(1), SEEDS)
    act = [lambda o: policy(1)(o).clamp(-3, 3).numpy()]
    assert found.tolist() == [alone("InvertedPendulum-v5", int(s), act[0]) for s in SEEDS]


@pytest.mark.parametrize(("name", "outputs"), [("CartPole-v0", 2), ("InvertedPendulum-v5", 1)])
def test_an_episode_that_has_ended_is_left_alone(name, outputs):
    """Its return is that of the loop which steps all of them on, and again what it was when the places are taken."""
    if outputs == 1:
        pytest.importorskip("mujoco")
    environment = GymnasiumEnvironment(name)
    found = environment.returns(policy(outputs), SEEDS)
    assert torch.equal(found, Environment.returns(environment, policy(outputs), SEEDS))
    assert torch.equal(found, environment.returns(policy(outputs), SEEDS))
    assert found.dtype == torch.float32
    assert len(set(found.tolist())) > 1  # they end at different times
    taken = [0] * len(SEEDS)
    for k, each in enumerate(environment.reset(SEEDS)[0].envs):  # kept for the next time

        def step(action, k=k, usual=each.step):
            taken[k] += 1
            return usual(action)

        each.step = step
    environment.returns(policy(outputs), SEEDS)
    assert taken == [steps + (name != "CartPole-v0" and steps < environment.horizon) for steps in found.tolist()]


def net(outputs):
    torch.manual_seed(0)
    model = MLP((4,), outputs, depth=2, width=20, dropout=0.0)
    return intrinsic.Subspace(model, projection=intrinsic.Fastfood, dim=10, seed=0)


@pytest.mark.slow
def test_a_strategy_goes_on_with_the_same_bits():
    pytest.importorskip("mujoco")
    task, trained, again = task_of(id="InvertedPendulum-v5", episodes=2, horizon=20, frames=0), net(1), net(1)
    one, other = (EvolutionStrategy(each.parameters(), lr=0.3, sigma=1.0, population=4) for each in (trained, again))
    history = list(fit(trained, task, one, epochs=2, batch_size=1, seed=0))
    first = list(fit(again, task, other, epochs=1, batch_size=1, seed=0))
    assert first[0].validation == history[0].validation
    list(fit(again, task, other, epochs=2, batch_size=1, seed=0, history=first))
    assert torch.equal(again.z, trained.z)
    assert trained.z.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package", "trained", "full_dim"),
    [("pendulum", "mujoco", 20, 541), ("humanoid", "mujoco", 20, 166_673), ("pong", "ale_py", 20, 1_005_974)],
)
def test_an_experiment_takes_steps(name, package, trained, full_dim):
    """Two, of four members: a whole run wants a cluster."""
    pytest.importorskip(package)
    small = ["optim.population=4", "environment.horizon=4", "dataset.episodes=2", f"dim={trained}", "device=cpu"]
    made = Setup(composed(f"experiment=li2018/{name}", *small))
    made.check()
    assert (made.net.count()["trained"], made.net.full_dim) == (trained, full_dim)
    rates = LearningRates(made.optimizer, None, steps=2)
    evolve(made.net, made.task, made.optimizer, rates, 1, torch.arange(2), 0)
    assert (made.optimizer.state[made.net.z]["step"], len(made.task.train)) == (2, 2)


def test_q_learning_of_choices_alone():
    task, trained = task_of(id="CartPole-v0", episodes=3, horizon=None, frames=0), net(2)
    optimizer = DeepQLearning(trained.parameters(), lr=0.01)
    list(fit(trained, task, optimizer, epochs=1, batch_size=8, seed=0))
    assert optimizer.experience.updates > 0
    pytest.importorskip("mujoco")
    task = task_of(id="InvertedPendulum-v5", episodes=3, horizon=None, frames=0)
    with pytest.raises(UserError, match="values a choice of actions, InvertedPendulum-v5 takes numbers: use optim=es"):
        fit(trained, task, optimizer, epochs=1, batch_size=8, seed=0)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (
            "InvertedPendulm-v5",
            r"^gymnasium has no environment 'InvertedPendulm-v5': did you mean 'InvertedPendulum-v5'",
        ),
        ("CartPole", r"^gymnasium has no environment 'CartPole': did you mean 'CartPole-v1'\?$"),
        ("os:CartPole-v1", r"^gymnasium has no environment 'os:CartPole-v1': did you mean 'CartPole-v1'\?$"),
        ("Blackjack-v1", r"^Blackjack-v1 has observations Tuple\(.*: need one box of numbers$"),
        (5, r"^need environment\.id as a text such as InvertedPendulum-v5, got 5$"),
    ],
)
def test_what_is_refused(name, match):
    with pytest.raises(UserError, match=match):
        GymnasiumEnvironment(name)


def test_a_missing_package_is_one_line_with_its_command(monkeypatch):
    def without(**kwargs):
        raise gymnasium.error.DependencyNotInstalled("MuJoCo is not\ninstalled")

    def boxless(**kwargs):
        raise gymnasium.error.DependencyNotInstalled("Box2D is missing:\n`pip install gymnasium[box2d]`")

    rl = r"pip install 'intrinsic-subspaces\[rl\]'$"
    with monkeypatch.context() as patched:
        patched.setattr(gymnasium, "make_vec", lambda *_, **__: without())
        with pytest.raises(UserError, match=f"^the package mujoco is missing: {rl}"):
            GymnasiumEnvironment("InvertedPendulum-v5")
        patched.setattr(gymnasium, "make_vec", lambda *_, **__: boxless())
        with pytest.raises(UserError, match=r"^LunarLander-v3 needs a package that is missing: Box2D .*box2d\]`$"):
            GymnasiumEnvironment("LunarLander-v3")
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match=r"^the package ale-py is missing: pip install ale-py opencv-python; its licen"):
        GymnasiumEnvironment("ALE/Pong-v5")
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UserError, match=f"^the package gymnasium is missing: {rl}"):
        GymnasiumEnvironment("CartPole-v1")


def test_bad_numbers():
    for options, match in [
        ({"horizon": 0}, r"need an integer environment\.horizon >= 1"),
        ({"frames": -1}, r"need an integer environment\.frames >= 0"),
        ({"frames": 4}, r"^CartPole-v1 cannot be made: "),
    ]:
        with pytest.raises(UserError, match=match):
            GymnasiumEnvironment("CartPole-v1", **options)
