"""An environment: episodes of control, many at once, in which a policy is judged by its return."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from intrinsic import rng

Policy = Callable[[Tensor], Tensor]  # of observations (n, *observation_shape): a number for each action, (n, actions)


class Environment(ABC):
    """What acts on actions: batched, deterministic given the seeds of its episodes.

    A state is what the environment says it is; an episode that has ended is stepped on, and its rewards do not count.

    Args:
        name: for messages.
        observation_shape: of one observation, without the axis of episodes.
        num_actions: choices at each step.
        horizon: the most steps of an episode.
    """

    name: str
    observation_shape: tuple[int, ...]
    num_actions: int
    horizon: int

    @abstractmethod
    def reset(self, seeds: Tensor) -> tuple[Any, Tensor]:
        """Begin episodes: seeds (n,) int64 -> (state, observations (n, *observation_shape) float32)."""

    @abstractmethod
    def step(self, state: Any, actions: Tensor) -> tuple[Any, Tensor, Tensor, Tensor]:
        """Act: actions (n,) int64 -> (state, observations, rewards (n,), whether the episode has ended (n,) bool)."""

    def returns(self, policy: Policy, seeds: Tensor) -> Tensor:
        """The sum of rewards of an episode for each seed, with the action of the largest number: (n,) -> (n,) float32.

        No discount, no exploration. It ends when every episode has ended, or at the horizon.
        """
        state, observations = self.reset(seeds)
        total = torch.zeros(len(seeds), device=observations.device)
        alive = torch.ones(len(seeds), dtype=torch.bool, device=observations.device)
        for _ in range(self.horizon):
            state, observations, rewards, ended = self.step(state, policy(observations).argmax(-1))
            total += rewards * alive
            alive &= ~ended
            if not alive.any():
                break
        return total

    def random_returns(self, seeds: Tensor) -> Tensor:
        """Those of a policy whose actions are drawn evenly, a function of the seeds: (n,) -> (n,)."""
        generator = torch.Generator().manual_seed(rng.fan_out(0, self.name, *map(int, seeds)))

        def policy(observations: Tensor) -> Tensor:
            return torch.rand(len(observations), self.num_actions, generator=generator).to(observations.device)

        return self.returns(policy, seeds)
