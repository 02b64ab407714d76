"""An evolution strategy: a gradient from scores alone."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from intrinsic import rng
from intrinsic.checks import integer, number
from intrinsic.errors import UserError


class EvolutionStrategy(Adam):
    """Adam on the gradient that a population estimates: sum_i u_i e_i / (population sigma).

    Members stand at theta + sigma e_i and theta - sigma e_i, e_i standard normal; u_i are their ranks by score, evenly
    from -0.5 to 0.5, so that the scale of scores does not matter; equal scores share their ranks. Source: Salimans et
    al. 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement Learning", arXiv:1703.03864.

    Args:
        params: what is trained, as for any optimiser.
        lr: of Adam.
        sigma: how far the members stand, in units of the trained numbers.
        population: members, an even number.
        betas: of Adam.
        solved: a validation score, such as a mean return, that ends the training; null: none.

    Raises:
        UserError: unless population is even, sigma > 0, and solved a number.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        *,
        sigma: float = 0.3,
        population: int = 64,
        betas: tuple[float, float] = (0.9, 0.999),
        solved: float | None = None,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas)
        if integer("optim.population", population, 2) % 2:
            raise UserError(f"need an even optim.population, members in pairs, got optim.population={population}")
        if not number("optim.sigma", sigma) > 0:
            raise UserError(f"need optim.sigma > 0, got optim.sigma={sigma}")
        self.population, self.sigma = population, float(sigma)
        self.enough = None if solved is None else number("optim.solved", solved)

    def members(self, trained: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
        """Numbers for each member, a function of `seed`: by name (*shape) -> (population, *shape)."""
        return {name: theta + self.sigma * _paired(e) for (name, theta), e in self._draws(trained, seed)}

    def evolve(self, trained: Mapping[str, Tensor], seed: int, scores: Tensor) -> None:
        """Take a step towards the members of `seed` with the higher scores: (population,)."""
        shares = ranks(scores)
        for (_, parameter), e in self._draws(trained, seed):
            ups, downs = shares.to(e).chunk(2)
            parameter.grad = torch.tensordot(downs - ups, e, dims=1) / (self.population * self.sigma)
        self.step()

    def _draws(self, trained: Mapping[str, Tensor], seed: int) -> Iterable[tuple[tuple[str, Tensor], Tensor]]:
        for lane, (name, parameter) in enumerate(trained.items()):
            shape = (self.population // 2, *parameter.shape)
            numbers = rng.normals(seed, shape[0] * parameter.numel(), lane=lane)
            yield (name, parameter), torch.from_numpy(numbers).reshape(shape).to(parameter)


def ranks(scores: Tensor) -> Tensor:
    """The place of each score among all, from -0.5 to 0.5; equal ones share a mean: (n,) -> (n,) float64."""
    above = (scores[:, None] > scores).sum(1) + (scores[:, None] == scores).sum(1).double() / 2 - 0.5
    return above / (len(scores) - 1) - 0.5


def _paired(e: Tensor) -> Tensor:
    return torch.cat([e, -e])
