"""An environment: episodes of control, many at once, in which a policy is judged by its return."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from intrinsic import rng

Policy = Callable[[Tensor], Tensor]  # of observations (n, *observation_shape): numbers that say an action, (n, actions)


class Environment(ABC):
    """What acts on actions: batched, deterministic given the seeds of its episodes.

    A state is what the environment says it is; an episode that has ended is stepped on, and its rewards do not count.

    Args:
        name: for messages.
        observation_shape: of one observation, without the axis of episodes.
        num_actions: outputs of a policy: choices at each step, or the numbers of an action.
        horizon: the most steps of an episode.
        is_choice: whether an action is one of several choices; else it is numbers.
    """

    name: str
    observation_shape: tuple[int, ...]
    num_actions: int
    horizon: int
    is_choice: bool = True

    @abstractmethod
    def reset(self, seeds: Tensor) -> tuple[Any, Tensor]:
        """Begin episodes: seeds (n,) int64 -> (state, observations (n, *observation_shape) float32)."""

    @abstractmethod
    def step(self, state: Any, actions: Tensor) -> tuple[Any, Tensor, Tensor, Tensor]:
        """Act: those of `actions` -> (state, observations, rewards (n,), whether the episode has ended (n,) bool)."""

    def actions(self, outputs: Tensor) -> Tensor:
        """What a policy's outputs stand for: the choice of the largest, (n, num_actions) -> (n,) int64."""
        return outputs.argmax(-1)

    def random_outputs(self, count: int, generator: torch.Generator) -> Tensor:
        """Outputs whose actions are drawn evenly: (count, num_actions), on the CPU."""
        return torch.rand(count, self.num_actions, generator=generator)

    def returns(self, policy: Policy, seeds: Tensor) -> Tensor:
        """The sum of rewards of an episode for each seed, as `policy` acts: (n,) -> (n,) float32.

        No discount, no exploration. It ends when every episode has ended, or at the horizon.
        """
        state, observations = self.reset(seeds)
        total = torch.zeros(len(seeds), device=observations.device)
        alive = torch.ones(len(seeds), dtype=torch.bool, device=observations.device)
        for _ in range(self.horizon):
            state, observations, rewards, ended = self.step(state, self.actions(policy(observations)))
            total += rewards * alive
            alive &= ~ended
            if not alive.any():
                break
        return total

    def random_returns(self, seeds: Tensor) -> Tensor:
        """Those of a policy whose actions are drawn evenly, a function of the seeds: (n,) -> (n,)."""
        generator = torch.Generator().manual_seed(rng.fan_out(0, self.name, *map(int, seeds)))

        def policy(observations: Tensor) -> Tensor:
            return self.random_outputs(len(observations), generator).to(observations.device)

        return self.returns(policy, seeds)
