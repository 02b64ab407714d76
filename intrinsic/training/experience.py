"""What a learner of values has been through: transitions to learn from again, counts, and returns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

RETURNS = 100  # of the last training episodes, whose mean says whether a task is solved


class Transitions(NamedTuple):
    """What came of an action, for n of them."""

    observations: Tensor  # (2, n, *observation_shape), before it and after
    actions: Tensor  # (n,) int64
    rewards: Tensor  # (n,)
    goes_on: Tensor  # (n,), 1 or, where the episode has ended, 0


class Experience:
    """The last transitions, in a ring, the returns of the last 100 episodes, and how often what was done.

    A row holds the observations before and after, the action, the reward, and 1 if the episode goes on, else 0.

    Memory: `size` times two observations and three numbers, float32.

    Args:
        size: transitions that are kept.
        observation_shape: of one observation.
        device: where they are kept.
    """

    steps = 0  # of the environment
    stored = 0  # transitions, those that were overwritten included
    updates = 0  # of the network

    def __init__(self, size: int, observation_shape: Sequence[int], device: torch.device | str = "cpu") -> None:
        self._shape, self._width = tuple(observation_shape), torch.Size(observation_shape).numel()
        self.rows = torch.zeros(size, 2 * self._width + 3, device=device)
        self.returns: list[float] = []
        self.target: dict[str, Tensor] = {}  # the trained numbers of a target network, by name

    def __len__(self) -> int:
        return min(self.stored, len(self.rows))

    def add(self, before: Tensor, action: Tensor, reward: Tensor, after: Tensor, *, goes_on: bool) -> None:
        """Note a transition, each of its parts with a first axis of one, in the place of the oldest if it is full."""
        numbers = torch.stack([action[0].float(), reward[0], reward.new_tensor(float(goes_on))])
        self.rows[self.stored % len(self.rows)] = torch.cat([before.flatten(), after.flatten(), numbers])
        self.stored += 1

    def draw(self, draws: Tensor) -> Transitions:
        """A transition for each of the numbers in [0, 1), evenly of all: (n,) float64."""
        rows = self.rows.index_select(0, (draws * len(self)).long().to(self.rows.device))
        both, (actions, rewards, goes_on) = rows[:, :-3], rows[:, -3:].unbind(1)
        both = both.view(len(rows), 2, *self._shape).transpose(0, 1)
        return Transitions(both, actions.long(), rewards, goes_on)

    def note_return(self, total: float) -> None:
        """Note the return of an episode that has ended."""
        self.returns = [*self.returns[1 - RETURNS :], total]

    def to_tensors(self) -> dict[str, Tensor]:
        """All of it, for a checkpoint."""
        counts = torch.tensor([self.steps, self.stored, self.updates, *self._shape])
        own = {"rows": self.rows, "counts": counts, "returns": torch.tensor(self.returns, dtype=torch.float64)}
        return own | {f"target.{name}": tensor for name, tensor in self.target.items()}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Self:
        """What `to_tensors` was called on."""
        steps, stored, updates, *shape = tensors["counts"].tolist()
        made = cls(0, shape)
        made.rows, made.returns = tensors["rows"].clone(), tensors["returns"].tolist()
        made.steps, made.stored, made.updates = steps, stored, updates
        made.target = {k.removeprefix("target."): t.clone() for k, t in tensors.items() if k.startswith("target.")}
        return made
