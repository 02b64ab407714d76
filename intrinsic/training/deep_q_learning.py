"""Deep Q-learning: the optimiser of a network that says what each action is worth."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from intrinsic.checks import integer, number
from intrinsic.errors import UserError
from intrinsic.training.experience import RETURNS, Experience

TARGETS = ("network", "shared")
EXPERIENCE = -1  # in a state dict, in the place of a parameter's number


class DeepQLearning(Adam):
    """Adam on the gradient of (Q(s, a) - r - gamma max_a' Q'(s', a'))^2, the mean over transitions of a replay buffer.

    Actions are those of the largest Q or, with the probability of exploration, drawn evenly. An update follows each
    step as soon as a batch is there. An episode that reaches the horizon has ended for the learner, too. Sources: Mnih
    et al. 2013, arXiv:1312.5602; the defaults are those of Li et al. 2018, arXiv:1804.08838, in their code.

    Args:
        params: what is trained, as for any optimiser.
        lr: of Adam.
        gamma: discount of the value of the next state, from 0 to below 1.
        exploration: probability of an action by chance, at the first update and at the end of `exploration_steps`.
        exploration_steps: updates, over which it falls along a line.
        replay: transitions that are kept, the last ones.
        store_every: of so many steps of the environment one is kept, and the last one of each episode.
        target: "network": Q' has trained numbers of its own, which follow those of Q; "shared": Q' is Q, as in the
            authors' code, where both are one object. No gradient goes through either.
        target_rate: how far Q' goes towards Q in each update, of what lies between them.
        clip: the largest norm of the gradient of each parameter; null: any.
        solved: a mean return of 100 training episodes that ends the training; null: none.
        betas: of Adam.

    Raises:
        UserError: for what is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0001,
        *,
        gamma: float = 0.95,
        exploration: tuple[float, float] = (0.5, 0.1),
        exploration_steps: int = 10_000,
        replay: int = 10_000,
        store_every: int = 5,
        target: str = "network",
        target_rate: float = 0.01,
        clip: float | None = 5.0,
        solved: float | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, fused=True)
        self.gamma = _between("gamma", gamma)
        if not isinstance(exploration, list | tuple) or len(exploration) != 2:
            raise UserError(f"need optim.exploration as two numbers, first and last, got {exploration!r:.100}")
        self._first, self._last = (_between("exploration", each) for each in exploration)
        self._falls = integer("optim.exploration_steps", exploration_steps, 1)
        self.replay, self.store_every = integer("optim.replay", replay, 1), integer("optim.store_every", store_every, 1)
        if target not in TARGETS:
            raise UserError(f"need optim.target={' or '.join(TARGETS)}, got optim.target={target!r:.100}")
        self.target, self.target_rate = target, _between("target_rate", target_rate)
        self.max_norm = None if clip is None else number("optim.clip", clip, 0)
        self.enough = None if solved is None else number("optim.solved", solved)
        self.experience: Experience | None = None  # before the first epoch

    def exploration(self) -> float:
        """The probability of an action by chance, now."""
        updates = 0 if self.experience is None else self.experience.updates
        return self._last + (self._first - self._last) * max(0.0, 1 - updates / self._falls)

    def course(self, l2_weights: float) -> tuple[float, ...]:
        """What a compiled episode takes: see `q_kernel.episode`."""
        clip = math.inf if self.max_norm is None else self.max_norm
        explores = self._first, self._last, self._falls
        return self.gamma, l2_weights, clip, *explores, self.store_every, self.target_rate

    def is_solved(self) -> bool:
        """Whether the last 100 training episodes had a mean return that is enough."""
        returns = [] if self.experience is None else self.experience.returns
        return self.enough is not None and len(returns) == RETURNS and sum(returns) / RETURNS >= self.enough

    def clip(self) -> None:
        """Shorten the gradients that are too long."""
        if self.max_norm is None:
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and (norm := parameter.grad.norm().item()) > self.max_norm:
                    parameter.grad.mul_(self.max_norm / norm)

    def state_dict(self) -> dict[str, Any]:
        """Adam's, with the experience."""
        found = super().state_dict()
        if self.experience is None:
            return found
        return {**found, "state": {**found["state"], EXPERIENCE: self.experience.to_tensors()}}

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        states: dict[int, dict[str, Tensor]] = dict(state_dict["state"])
        held = states.pop(EXPERIENCE, None)
        super().load_state_dict({**state_dict, "state": states})
        self.experience = None if held is None else Experience.of(held)


def _between(name: str, value: Any) -> float:
    found = number(f"optim.{name}", value, 0)
    if found > 1 or (found == 1 and name == "gamma"):
        raise UserError(f"need optim.{name} {'below' if name == 'gamma' else 'of at most'} 1, got {name}={value}")
    return found
