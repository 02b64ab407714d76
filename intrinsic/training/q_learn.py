"""The training loop of deep Q-learning."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from intrinsic.subspace import Subspace
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.task import Task
from intrinsic.training.compiled_episodes import CompiledEpisodes
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.experience import Experience
from intrinsic.training.q_learner import QLearner
from intrinsic.training.seeded import seeded

Episode = Callable[[Tensor, Tensor], float]  # of its seed (1,) and numbers (horizon, 2 + batch) in [0, 1): its return


def q_learn(
    net: Subspace,
    task: Task,
    optimizer: DeepQLearning,
    *,
    batch_size: int,
    l2_weights: float,
    seed: int,
) -> float:
    """One episode for each example of the training split, one after the other; fewer if the task is solved.

    Returns minus the mean return of the last 100 episodes, with exploration.

    Args:
        net: Q, what is trained: observations -> a value of each action.
        task: of episodes with a choice of actions.
        optimizer: over `net.parameters()`; it keeps the experience.
        batch_size: transitions in an update.
        l2_weights: see `intrinsic.training.fit`.
        seed: of the episodes, the exploration, the batches and dropout.
    """
    environment, device = task.environment, task.train.inputs.device
    assert environment is not None
    if optimizer.experience is None:
        optimizer.experience = Experience(optimizer.replay, environment.observation_shape, device)
    experience = optimizer.experience
    net.train()
    compiled = CompiledEpisodes.suit(net, environment, optimizer)
    run = _compiled if compiled else _learned
    with seeded(seed, device), run(net, environment, optimizer, l2_weights) as episode:
        for seeds, targets in zip(task.train.inputs.split(1), task.train.targets.split(1), strict=True):
            if task.noise is not None:
                seeds, _ = task.noise(seeds, targets)
            draws = torch.rand(environment.horizon, 2 + batch_size, dtype=torch.float64)
            experience.note_return(episode(seeds, draws))
            if optimizer.is_solved():
                break
    return -sum(experience.returns) / len(experience.returns)


@contextmanager
def _compiled(
    net: Subspace, environment: Environment, optimizer: DeepQLearning, l2_weights: float
) -> Iterator[Episode]:
    episodes = CompiledEpisodes(net, optimizer, l2_weights)
    yield lambda seeds, draws: episodes.run(environment.reset(seeds)[0][0], draws)
    episodes.store()


@contextmanager
def _learned(net: Subspace, environment: Environment, optimizer: DeepQLearning, l2_weights: float) -> Iterator[Episode]:
    learner = QLearner(net, optimizer, l2_weights=l2_weights)
    with learner.held():
        learner.move()
        yield lambda seeds, draws: _episode(environment, seeds, learner, optimizer, draws)


def _episode(
    environment: Environment, seeds: Tensor, learner: QLearner, optimizer: DeepQLearning, draws: Tensor
) -> float:
    """One episode, an update after each of its steps; returns its return."""
    experience = optimizer.experience
    assert experience is not None
    state, before = environment.reset(seeds)
    total = 0.0
    for time, drawn in enumerate(draws):
        actions = learner.act(before, drawn[:2], environment.num_actions)
        state, after, rewards, ended = environment.step(state, actions)
        over = bool(ended) or time + 1 == environment.horizon
        total += rewards.item()
        if over or experience.steps % optimizer.store_every == 0:
            experience.add(before, actions, rewards, after, goes_on=not over)
        experience.steps += 1
        if len(experience) >= len(drawn) - 2:
            learner.update(experience, drawn[2:])
        if over:
            break
        before = after
    return total
