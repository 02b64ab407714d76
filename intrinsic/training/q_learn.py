"""The training loop of deep Q-learning."""

from torch import Tensor

from intrinsic.subspace import Subspace
from intrinsic.tasks.environment import Environment
from intrinsic.tasks.task import Task
from intrinsic.training.deep_q_learning import DeepQLearning
from intrinsic.training.experience import Experience
from intrinsic.training.optimizer_step import OptimizerStep
from intrinsic.training.q_learner import QLearner
from intrinsic.training.seeded import seeded


def q_learn(
    net: Subspace,
    task: Task,
    optimizer: DeepQLearning,
    step: OptimizerStep,
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
        step: of the optimiser.
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
    learner = QLearner(net, optimizer, step, batch_size=batch_size, l2_weights=l2_weights)
    step.look()
    with seeded(seed, device), learner.held():
        learner.move()
        for seeds, targets in zip(task.train.inputs.split(1), task.train.targets.split(1), strict=True):
            if task.noise is not None:
                seeds, _ = task.noise(seeds, targets)
            experience.note_return(_episode(environment, seeds, learner, optimizer, batch_size))
            if optimizer.is_solved():
                break
    return -sum(experience.returns) / len(experience.returns)


def _episode(environment: Environment, seeds: Tensor, learner: QLearner, optimizer: DeepQLearning, size: int) -> float:
    """One episode, an update after each of its steps; returns its return."""
    experience = optimizer.experience
    assert experience is not None
    state, before = environment.reset(seeds)
    total = 0.0
    for time in range(environment.horizon):
        actions = learner.act(before, environment.num_actions)
        state, after, rewards, ended = environment.step(state, actions)
        over = bool(ended) or time + 1 == environment.horizon
        total += rewards.item()
        if over or experience.steps % optimizer.store_every == 0:
            experience.add(before, actions, rewards, after, goes_on=not over)
        experience.steps += 1
        if len(experience) >= size:
            learner.update(experience)
        if over:
            break
        before = after
    return total
